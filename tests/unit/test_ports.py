"""Ports that are given are free, and given once."""

import socket
import subprocess
import sys

from mesh.ports import RANGE, free_ports


def test_processes_side_by_side_are_given_different_ports():
    """Four processes ask at once for fifty ports each: two hundred different ones."""
    ask = "from mesh.ports import free_ports; print(*free_ports(50))"
    asking = [subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(4)]

    given = [int(port) for process in asking for port in process.communicate(timeout=60)[0].split()]

    assert len(given) == 200
    assert len(set(given)) == 200
    assert set(given) <= set(RANGE)


def test_a_port_in_use_is_not_given():
    """Whoever listens keeps the port."""
    (port,) = free_ports(1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", port + 1 if port + 1 in RANGE else RANGE.start))
        taken = held.getsockname()[1]

        assert taken not in free_ports(3)
