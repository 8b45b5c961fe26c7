"""Sandbox: one process with the functions of one file, as the service sees it."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from mesh.runtime.fork_server import ForkedChild, ForkServer
from services.functions.frames import (
    HEAD,
    LONGEST,
    Answer,
    Call,
    Declared,
    Failed,
    Load,
    Loaded,
    Order,
    decode_answer,
    framed,
)
from services.functions.function_settings import FunctionSettings
from services.functions.output import Output

PASSED_ON = ("LANG", "LC_ALL", "PATH", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ")
"""What functions see of the service's environment: nothing of it is secret."""
_FAREWELL = 1.0
"""Seconds for a process to end by itself when it is needed no more."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an order: the answer, what was written meanwhile, and how many bytes more were."""

    answer: Answer
    output: str
    dropped: int


def shared_environment() -> dict[str, str]:
    """The environment of all functions."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


@asynccontextmanager
async def open_fork_server(*, at_once: bool = True) -> AsyncIterator[ForkServer]:
    """The server that forks the processes of functions, until the block ends; begun `at_once` or with the first."""
    with tempfile.TemporaryDirectory(prefix="cartmesh-functions-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "fork-server.log"
        server = ForkServer(log, program="services.functions.forking", environment=shared_environment())
        if at_once:
            await server.open()
        try:
            yield server
        finally:
            await server.close()


class Sandbox:
    """One process. Make one with `open`; it is given one order at a time, and has `ended` when it is of no more use."""

    def __init__(self, settings: FunctionSettings, child: ForkedChild, channel: socket.socket, output: Output) -> None:
        self._settings, self._child, self._channel, self._output = settings, child, channel, output
        self.ended = False

    @classmethod
    async def open(cls, server: ForkServer, settings: FunctionSettings) -> "Sandbox":
        """Fork a process, which has imported nothing of a user's yet. Raises MeshError."""
        ours, theirs = socket.socketpair()
        reads, writes = os.pipe()
        try:
            child = await server.fork(("functions",), shared_environment(), theirs.fileno(), writes)
        except BaseException:
            ours.close()
            os.close(reads)
            raise
        finally:
            theirs.close()
            os.close(writes)
        ours.setblocking(False)
        return cls(settings, child, ours, Output(reads, most=settings.functions_output_kb * 1024))

    async def load(self, path: Path, source: str) -> tuple[Failed | tuple[Declared, ...], Outcome]:
        """Import a file: its functions, or why it was not imported."""
        order = Load(
            path=str(path),
            source=source,
            folder=str(path.parent),
            memory=self._settings.functions_memory_mb << 20,
            cpu=self._settings.functions_cpu.total_seconds(),
        )
        outcome = await self._do(order, self._settings.functions_start_deadline, "importing the file")
        return outcome.answer.functions if isinstance(outcome.answer, Loaded) else _failure(outcome.answer), outcome

    async def call(self, asked: Call, within: timedelta) -> Outcome:
        """Call a function, which has so long to return."""
        return await self._do(asked, within, asked.function)

    async def close(self) -> None:
        """Let the process end, and end it."""
        self.ended = True
        self._channel.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._child.wait(), _FAREWELL)
        await self._kill()
        self._output.close()

    async def _do(self, order: Order, within: timedelta, what: str) -> Outcome:
        try:
            async with asyncio.timeout(within.total_seconds()):
                answer = await self._exchange(order)
        except TimeoutError:
            await self._kill()
            answer = Failed(reason=f"{what} took longer than {within.total_seconds():g} s, and was killed", final=True)
        except (ConnectionError, msgspec.DecodeError) as error:
            answer = Failed(reason=await self._ending(error), final=True)
        except BaseException:
            await self._kill()
            self._output.close()
            raise
        if isinstance(answer, Failed) and answer.final:
            await self._kill()
        written, dropped = self._output.take()
        if self.ended:
            self._output.close()
        return Outcome(answer=answer, output=written, dropped=dropped)

    async def _exchange(self, order: Order) -> Answer:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._channel, framed(order))
        length = int.from_bytes(await self._read(HEAD), "big")
        if length > LONGEST:
            raise ConnectionError(f"it returned more than {LONGEST >> 20} MB")
        answer: Answer = decode_answer(await self._read(length))
        return answer

    async def _read(self, length: int) -> bytes:
        loop, read = asyncio.get_running_loop(), bytearray()
        while len(read) < length:
            some = await loop.sock_recv(self._channel, length - len(read))
            if not some:
                raise ConnectionResetError
            read += some
        return bytes(read)

    async def _ending(self, error: Exception) -> str:
        """Why the process ended by itself, or had to be ended."""
        if not isinstance(error, ConnectionResetError | BrokenPipeError):
            await self._kill()
            return f"its answer cannot be read: {error}"
        with suppress(TimeoutError):
            await asyncio.wait_for(self._child.wait(), _FAREWELL)
        status = self._child.returncode
        await self._kill()
        match status:
            case None:
                return "its process closed its connection"
            case int() if status == -signal.SIGXCPU:
                return f"it used more than {self._settings.functions_cpu.total_seconds():g} s of CPU, and was killed"
            case int() if status < 0:
                return f"its process crashed: {signal.Signals(-status).name}"
            case _:
                return f"its process ended with status {status}"

    async def _kill(self) -> None:
        self.ended = True
        if self._child.returncode is None:
            self._child.send_signal(signal.SIGKILL)
            await self._child.wait()
        self._channel.close()


def _failure(answer: Answer) -> Failed:
    return answer if isinstance(answer, Failed) else Failed(reason="it answered something else")
