"""Ports: free ones on loopback, none given twice by one process."""

import socket

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; another process may still take one before it is used."""
    sockets: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            opened = socket.socket()
            sockets.append(opened)
            opened.bind(("127.0.0.1", 0))
            port = opened.getsockname()[1]
            if port not in _given:
                ports.append(port)
        _given.update(ports)
    finally:
        for opened in sockets:
            opened.close()
    return ports
