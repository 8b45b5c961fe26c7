"""The index process: a child that builds indexes, so that serving never waits for the interpreter meanwhile.

Clicks go to it as numbers; the arrays of the index come back in memory that both map, of which nothing is copied.
`python -m ml.recommendations.index_process FD` serves one parent over a socket until that is closed.
"""

import asyncio
import mmap
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec
import numpy as np

from ml.recommendations.session_index import Build, Clicks

LESS_URGENT = 5
"""Added to the child's niceness: scores come first."""
ALIGNED = 64
_LENGTH = struct.Struct(">Q")


class IndexProcessFailed(Exception):
    """The child ended or answered nothing; the next build starts another."""


class _Request(msgspec.Struct, frozen=True, array_like=True):
    known: int
    weights: dict[str, float]
    tune: bool
    sessions: bytes
    visitors: bytes
    items: bytes


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """Where the arrays lie in the file that comes with it, as (start, end); and what they belong to, pickled."""

    spans: list[tuple[int, int]]
    build: bytes


class IndexProcess:
    """A builder (`Recommender(build=...)`) that has a child process do it, from the first build until `close`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def __call__(self, clicks: Clicks, weights: Mapping[str, float], tune: bool) -> Build:
        """Index clicks. IndexProcessFailed where the child dies of it or meanwhile."""
        request = _Request(
            clicks.known,
            dict(weights),
            tune,
            clicks.sessions.tobytes(),
            clicks.visitors.tobytes(),
            clicks.items.astype(np.int64).tobytes(),
        )
        return await asyncio.to_thread(self._ask, msgspec.msgpack.encode(request))

    @property
    def pid(self) -> int | None:
        """The child's process id; None before the first build."""
        return self._child.pid if self._child is not None else None

    def close(self) -> None:
        """End the child, also one that is building."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._child = None

    def _ask(self, request: bytes) -> Build:
        """In a thread: sending, waiting and receiving hold no interpreter."""
        connection = self._socket or self._start()
        try:
            connection.sendall(_LENGTH.pack(len(request)) + request)
            head, files, _, _ = socket.recv_fds(connection, _LENGTH.size, 1, socket.MSG_WAITALL)
            if not head or not files:
                raise ConnectionError("it ended")
            with os.fdopen(files[0], "rb") as file:
                answer = msgspec.msgpack.decode(_received(connection, _LENGTH.unpack(head)[0]), type=_Answer)
                # A private mapping: the blend's scratch arrays are written to, and belong to this process alone.
                mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        except OSError as error:
            self.close()
            raise IndexProcessFailed(f"the process that builds the index: {error}") from error
        buffers = [mapped[start:end] for start, end in answer.spans]
        return pickle.loads(answer.build, buffers=buffers)  # type: ignore[no-any-return]  # noqa: S301  of our own child

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(  # noqa: S603  this module itself
                [sys.executable, "-m", "ml.recommendations.index_process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                start_new_session=True,  # ctrl-c is for the parent, whose socket closes
            )
        self._socket = ours
        return ours


def _received(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("it ended")
        parts += part
    return bytes(parts)


def _shared() -> BinaryIO:
    """A file without a name, in memory where the system has that."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("index"), "w+b")
    return TemporaryFile()


def _answered(request: bytes, file: BinaryIO) -> bytes:
    asked = msgspec.msgpack.decode(request, type=_Request)
    sessions, visitors, items = (
        np.frombuffer(part, np.int64) for part in (asked.sessions, asked.visitors, asked.items)
    )
    clicks = Clicks(
        sessions=sessions, visitors=visitors, items=items.astype(np.intp), products=(), numbers={}, known=asked.known
    )
    buffers: list[pickle.PickleBuffer] = []
    built = pickle.dumps(Build.of(clicks, asked.weights, tune=asked.tune), protocol=5, buffer_callback=buffers.append)
    spans, at = [], 0
    for buffer in buffers:
        raw = buffer.raw()
        file.seek(at)
        file.write(raw)
        spans.append((at, at + raw.nbytes))
        at = -(-(at + raw.nbytes) // ALIGNED) * ALIGNED
    file.truncate(max(at, 1))
    file.flush()
    return msgspec.msgpack.encode(_Answer(spans, built))


def main(descriptor: int) -> None:
    """Answer requests until the parent closes its end or dies."""
    os.nice(LESS_URGENT)
    with socket.socket(fileno=descriptor) as connection:
        while head := connection.recv(_LENGTH.size, socket.MSG_WAITALL):
            request = _received(connection, _LENGTH.unpack(head)[0])
            with _shared() as file:
                answer = _answered(request, file)
                socket.send_fds(connection, [_LENGTH.pack(len(answer))], [file.fileno()])
                connection.sendall(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
