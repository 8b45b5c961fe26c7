"""File target: a version of a file of functions, and the process in which it runs now.

A process that was killed or crashed is started again, later and later while it goes on doing so; what is to be called
meanwhile waits in the stream.
"""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mesh import Bury, Received, Retry
from mesh.errors import MeshError
from mesh.event import declaration_of
from mesh.observability.logs import log
from mesh.runtime.fork_server import ForkServer
from services.functions.frames import Answer, Call, Declared, Failed, Returned
from services.functions.function_settings import FunctionSettings
from services.functions.sandbox import Sandbox
from services.functions.target import Called, FunctionFailed, Refused

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a process is started again that ended twice in a row, doubling up to the longest."""

AFTER_CHANGE = timedelta(milliseconds=200)


class FileTarget:
    """One version of one file. Make one with `load`."""

    def __init__(self, server: ForkServer, settings: FunctionSettings, path: Path, source: str) -> None:
        self._server, self._settings, self._path, self._source = server, settings, path, source
        self.version = hashlib.sha256(source.encode()).hexdigest()[:8]
        self.declared: tuple[Declared, ...] = ()
        self.started = 0.0
        self._sandbox: Sandbox | None = None
        self._turn = asyncio.Lock()
        self._ends, self._not_before = 0, 0.0
        self._closed = False

    async def load(self) -> None:
        """Start its process. Raises Refused where the file cannot be imported."""
        sandbox = await Sandbox.open(self._server, self._settings)
        try:
            found, outcome = await sandbox.load(self._path, self._source)
        except BaseException:
            await sandbox.close()
            raise
        if isinstance(found, Failed):
            await sandbox.close()
            raise Refused(found.reason, (outcome.output + found.trace).strip())
        self._sandbox, self.declared = sandbox, found

    async def call(self, declared: Declared, received: Received) -> Called:
        """Call one of its functions, after those that are being called. Raises Retry while its process is not back."""
        async with self._turn:
            sandbox = await self._ready()
            within = self._settings.functions_deadline
            if declared.deadline is not None:
                within = min(within, timedelta(seconds=declared.deadline))
            asked = Call(
                function=declared.name,
                event_type=declaration_of(type(received.event)).type,
                data=msgspec.json.encode(received.event),
                id=received.id,
                time=received.time,
                region=received.region,
                attempt=received.attempt,
                deadline=datetime.now(UTC) + within,
            )
            outcome = await sandbox.call(asked, within)
            self._note(sandbox)
        return _called(outcome.answer, outcome.output, outcome.dropped)

    async def close(self) -> None:
        """Finish the call that is under way, and end the process."""
        self._closed = True
        async with self._turn:
            if self._sandbox is not None:
                await self._sandbox.close()
                self._sandbox = None

    async def _ready(self) -> Sandbox:
        if self._sandbox is not None and not self._sandbox.ended:
            return self._sandbox
        if self._closed:
            raise Retry("its file was changed or removed", after=AFTER_CHANGE)
        left = self._not_before - asyncio.get_running_loop().time()
        if left > 0:
            raise Retry(f"its process ended {self._ends} times in a row", after=timedelta(seconds=left))
        try:
            await self.load()
        except (Refused, MeshError) as error:
            self._ended()
            raise Retry(f"its process does not start: {error}", after=timedelta(seconds=LONGEST_PAUSE / 10)) from error
        assert self._sandbox is not None  # noqa: S101  `load` has set it
        return self._sandbox

    def _note(self, sandbox: Sandbox) -> None:
        if sandbox.ended:
            self._ended()
        else:
            self._ends = 0

    def _ended(self) -> None:
        """The process ended: the first time it is started again at once."""
        self._ends += 1
        pause = 0.0 if self._ends == 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._ends - 2, 10))
        self._not_before = asyncio.get_running_loop().time() + pause
        log.warning("a process of functions ended", file=self._path.name, times=self._ends, pause=pause)


def _called(answer: Answer, output: str, dropped: int) -> Called:
    match answer:
        case Returned(emitted=emitted):
            return Called(emitted=emitted, output=output, dropped=dropped)
        case Failed(outcome="again", reason=reason, after=after):
            return Called(error=Retry(reason, after=timedelta(seconds=after)), output=output, dropped=dropped)
        case Failed(outcome="buried", reason=reason):
            return Called(error=Bury(reason), output=output, dropped=dropped)
        case Failed(reason=reason, trace=trace):
            failed = FunctionFailed(reason)
            failed.add_note(trace)
            return Called(error=failed, output=output, dropped=dropped)
        case _:
            return Called(error=FunctionFailed("it answered something else"), output=output, dropped=dropped)
