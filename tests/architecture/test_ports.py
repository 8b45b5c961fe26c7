"""The addresses that people know: each service with something to see has a port of its own, in every region."""

from itertools import pairwise

from mesh.runtime.discovery import discover

REGIONS = 10
"""As many regions as one machine can have: each takes the next port."""


def test_every_http_service_declares_ports_of_its_own():
    """Without one its address would be another after each start, and so it would where regions of two meet."""
    ports = {service.name: service.port for service in discover() if service.app or service.pages}

    assert [name for name, port in ports.items() if not port] == []
    assert all(after - before >= REGIONS for before, after in pairwise(sorted(ports.values()))), ports
