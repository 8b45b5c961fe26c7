"""Ports: free ones on loopback that nobody else is about to take.

They lie below the ports that systems give to outgoing connections, and are dealt out in turn from one
counter, so that meshes started side by side by one user never choose the same.
"""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RANGE = range(10_240, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, and that nobody else is given until thousands of others were."""
    counter = Path(tempfile.gettempdir()) / f"cartmesh-ports-{os.getuid()}"
    with counter.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        at = int(file.read() or random.choice(RANGE))  # noqa: S311  any place to begin
        ports: list[int] = []
        while len(ports) < count:
            at = at + 1 if at + 1 in RANGE else RANGE.start
            if _is_free(at):
                ports.append(at)
        file.truncate(0)
        file.write(str(at))
    return ports


@contextmanager
def usual_port(wanted: int) -> Iterator[int]:
    """The wanted port where it is free, else another one; no other mesh of this user is given it until the block ends.

    Whoever looks and whoever binds are different processes, and between the two another mesh may look: a locked file
    keeps it away. The system unlocks it with the process.
    """
    with Path(tempfile.gettempdir(), f"cartmesh-port-{os.getuid()}-{wanted}").open("a", encoding="ascii") as claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield free_ports(1)[0]
            return
        yield wanted if _is_free(wanted) else free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that ended a moment ago does not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
