"""Fork server: one Python that has imported every service; processes of a mesh on one machine are forks of it.

A process begins with more than a second of imports: for the eight of each region, most of what their start costs. A
fork has them already, and shares their memory. `mesh.runtime.forking` is the other side.
"""

import asyncio
import os
import socket
import sys
from asyncio import StreamReader, StreamReaderProtocol
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from signal import SIGKILL

import msgspec

from mesh.errors import MeshError
from mesh.runtime.process import Process

LONGEST = 1 << 20
"""Bytes of the longest message; the kernel keeps where each one ends."""
_PATIENCE = 90.0


class Fork(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A request: fork a process that runs `cartmesh` with these arguments and this environment.

    The descriptors of its standard output and standard error come along. `number` is for the answer.
    """

    number: int
    arguments: tuple[str, ...]
    environment: dict[str, str]


class Signal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A request: send a signal to a forked process; without effect once it has ended."""

    pid: int
    number: int


class Forked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to a request: its process runs."""

    number: int
    pid: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A report: a process is over. A negative status is the signal that ended it."""

    pid: int
    status: int


class ForkedChild:
    """A forked process with the interface of asyncio's own: `pid`, `returncode`, `stdout`, `wait`, `send_signal`."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self._server, self.pid = server, pid
        self.stdout: StreamReader | None = None
        self.returncode: int | None = None
        self._over = asyncio.Event()

    async def wait(self) -> int:
        """Wait until it is over; its exit status."""
        await self._over.wait()
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """Let the fork server send it a signal: only there is it certain that the pid is still its own."""
        self._server.send(Signal(pid=self.pid, number=number))

    def end(self, status: int) -> None:
        """Note that it is over."""
        self.returncode = status
        self._over.set()


class ForkServer:
    """Starts processes of `cartmesh` as forks of a server that has imported what they need.

    Its own output is appended to `log`. A server that was lost is started again for the next process. Closing it ends
    the server, and with it what still runs.
    """

    def __init__(
        self, log: Path, *, program: str = "mesh.cli.forking", environment: Mapping[str, str] | None = None
    ) -> None:
        """`program` is the module that forks, run with `environment` (default: that of this process)."""
        self._log, self._program, self._environment = log, program, environment
        self._server: Process | None = None
        self._channel: socket.socket | None = None
        self._forking = asyncio.Lock()
        self._numbers = count(1)
        self._requested: dict[int, asyncio.Future[ForkedChild]] = {}
        self._children: dict[int, ForkedChild] = {}

    async def open(self) -> None:
        """Start the server; it imports while the caller goes on, and then forks."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            command = [sys.executable, "-m", self._program, str(theirs.fileno())]
            self._server = await Process.start(
                command, log=self._log, environment=self._environment, pass_fds=(theirs.fileno(),)
            )
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._read, ours)

    async def start(
        self, arguments: Sequence[str], /, *, log: Path, environment: Mapping[str, str], speaks: bool
    ) -> Process:
        """Run `cartmesh` with these arguments in a fork; in all else as `Process.start`.

        MeshError with the end of the server's log when it cannot fork.
        """
        with log.open("ab") as output:
            reads, writes = os.pipe() if speaks else (None, os.dup(output.fileno()))
            try:
                child = await self.fork(arguments, environment, writes, output.fileno())
            finally:
                os.close(writes)
        child.stdout = None if reads is None else await _reader(reads)
        return Process(child, log)

    async def fork(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int
    ) -> ForkedChild:
        """A fork with these two descriptors as its standard output and standard error, of which it gets copies.

        MeshError with the end of the server's log when it cannot fork.
        """
        async with self._forking:  # one at a time: more might not fit into the channel while the server imports
            if self._channel is None:
                await self.open()
            number, requested = next(self._numbers), asyncio.get_running_loop().create_future()
            self._requested[number] = requested
            fork = Fork(number=number, arguments=tuple(arguments), environment=dict(environment))
            self.send(fork, output, errors)
            child: ForkedChild = await asyncio.wait_for(requested, _PATIENCE)
        return child

    def send(self, request: Fork | Signal, *descriptors: int) -> None:
        """Send a request; without effect where the server has ended."""
        if self._channel is not None:
            with suppress(ConnectionError):
                socket.send_fds(self._channel, [_encode(request)], descriptors)

    async def close(self) -> None:
        """End the server; what it forked ends with it."""
        self._lose()
        if self._server is not None:
            await self._server.end()

    def _read(self, channel: socket.socket) -> None:
        try:
            body = channel.recv(LONGEST)
        except BlockingIOError:
            return
        except ConnectionError:
            body = b""
        if not body:
            self._lose()
        elif isinstance(answer := _decode(body), Ended):
            self._children.pop(answer.pid).end(answer.status)
        else:
            child = self._children[answer.pid] = ForkedChild(self, answer.pid)
            requested = self._requested.pop(answer.number)
            if requested.cancelled():  # nobody would end it
                child.send_signal(SIGKILL)
            else:
                requested.set_result(child)

    def _lose(self) -> None:
        """Nothing more comes from the server: it has ended, and the kernel has killed what it forked."""
        if self._channel is None:
            return
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._channel = None
        for child in self._children.values():
            child.end(-SIGKILL)
        self._children.clear()
        printed = self._server.last_output() if self._server else ""
        for requested in self._requested.values():
            if not requested.done():
                requested.set_exception(MeshError(f"the fork server ended:\n{printed}"))
        self._requested.clear()


_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], Forked | Ended] = msgspec.json.Decoder(Forked | Ended).decode


async def _reader(descriptor: int) -> StreamReader:
    reader = StreamReader()
    pipe = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: StreamReaderProtocol(reader), pipe)
    return reader
