"""The addresses that people know: each service with something to see has a port of its own."""

from mesh.runtime.discovery import discover


def test_every_http_service_declares_a_port_of_its_own():
    """Without one, its address would be another after each start."""
    ports = {service.name: service.port for service in discover() if service.app or service.pages}

    assert [name for name, port in ports.items() if not port] == []
    assert len(set(ports.values())) == len(ports)
