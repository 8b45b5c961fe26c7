"""A supervised process: it reports when it is ready, is started again when it dies, and is always ended."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mesh.errors import MeshError
from mesh.observability.logs import log
from mesh.runtime.backoff import Backoff
from mesh.runtime.process import Process
from mesh.runtime.process_list import Note, unlisted

START_PATIENCE = 90.0
STOP_PATIENCE = 25.0


class Start(Protocol):
    """How a command becomes a process, as `Process.start` does it."""

    async def __call__(
        self, command: Sequence[str], /, *, log: Path, environment: Mapping[str, str], speaks: bool
    ) -> Process:
        """The process that runs it."""


class Child:
    """A supervised process that prints one line on stdout when it is ready.

    It is restarted after it dies unexpectedly, as an orchestrator would: the more often it dies at once, the later
    (`Backoff`). `start` starts its command: as a process of its own, or as the fork of one. `note` is told of each
    change.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        logs: Path,
        start: Start = Process.start,
        note: Note = unlisted,
    ) -> None:
        self.name, self._start, self._note, self._backoff = name, start, note, Backoff()
        self._command, self._environment, self._log = command, os.environ | environment, logs / f"{name}.log"
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False
        self.line = b""
        """What it printed when it was ready."""
        self.restarts = 0
        self.ready = asyncio.Event()

    @property
    def process(self) -> Process:
        """The process as it runs now."""
        if self._process is None:
            raise MeshError(f"{self.name} was not started")
        return self._process

    async def start(self) -> None:
        """Start it and wait until it is ready; MeshError with the end of its log when it fails."""
        await self._spawn()
        try:
            self.line = await asyncio.wait_for(self.process.first_line(), START_PATIENCE)
        except TimeoutError:
            raise MeshError(
                f"{self.name} is not ready after {START_PATIENCE:g} s:\n{self.process.last_output()}"
            ) from None
        if not self.line:
            raise MeshError(f"{self.name} ended while it started:\n{self.process.last_output()}")
        self._is_ready()
        self._watcher = asyncio.create_task(self._watch())

    async def kill(self) -> None:
        """SIGKILL; it comes back by itself, after the shortest pause, and `ready` is set again then."""
        self.ready.clear()
        self._backoff.forget()
        await self.process.kill()

    async def stop(self) -> None:
        """Ask it to drain, wait, and end it."""
        self._stopping = True
        if self._watcher is not None:
            self._watcher.cancel()
        if self._process is not None:
            await self._process.end(STOP_PATIENCE)
            self._note(self.name, "stopped", None)

    async def _spawn(self) -> None:
        self._backoff.began()
        self._process = await self._start(self._command, log=self._log, environment=self._environment, speaks=True)
        self._note(self.name, "starting", self._process.pid)

    def _is_ready(self) -> None:
        self.ready.set()
        self._note(self.name, "running", None)

    async def _watch(self) -> None:
        while True:
            code = await self.process.wait()
            if self._stopping:
                return
            self.ready.clear()
            self._note(self.name, "restarting", None)
            log.warning("ended unexpectedly; starting it again", child=self.name, code=code)
            await self._spawn_again()
            self.restarts += 1
            if line := await self.process.first_line():
                self.line = line
                self._is_ready()

    async def _spawn_again(self) -> None:
        while True:
            await asyncio.sleep(self._backoff.pause())
            try:
                return await self._spawn()
            except (MeshError, OSError) as error:
                log.error("cannot be started; trying again", child=self.name, error=str(error))


async def stop_all(children: Iterable[Child]) -> None:
    """Ask all of them to drain at once, and return when the last one has ended."""
    for failed in await asyncio.gather(*(child.stop() for child in children), return_exceptions=True):
        if isinstance(failed, BaseException):
            raise failed
