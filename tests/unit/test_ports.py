"""Ports that are given are free, and given once."""

import os
import socket
import subprocess
import sys
import tempfile

from mesh.runtime.ports import RANGE, free_ports, usual_port


def test_processes_side_by_side_are_given_different_ports():
    """Four processes ask at once for fifty ports each: two hundred different ones."""
    ask = "from mesh.runtime.ports import free_ports; print(*free_ports(50))"
    asking = [subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(4)]

    given = [int(port) for process in asking for port in process.communicate(timeout=60)[0].split()]

    assert len(given) == 200
    assert len(set(given)) == 200
    assert set(given) <= set(RANGE)


def test_a_port_in_use_is_not_given(tmp_path, monkeypatch):
    """Whoever listens keeps the port, even when it is its turn."""
    (port,) = free_ports(1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", port))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        (tmp_path / f"cartmesh-ports-{os.getuid()}").write_text(str(port - 1))

        given = free_ports(3)

    assert port not in given


def test_a_usual_port_is_given_where_it_is_free():
    """And another one to whoever asks while it is kept, or while somebody listens there."""
    (wanted,) = free_ports(1)
    with usual_port(wanted) as first, usual_port(wanted) as second:
        assert first == wanted
        assert second in set(RANGE) - {wanted}
    with socket.socket() as held:
        held.bind(("127.0.0.1", wanted))
        with usual_port(wanted) as other:
            assert other in set(RANGE) - {wanted}
    with usual_port(wanted) as again:
        assert again == wanted
