"""Functions: those of the folder at work. Files that are added, changed or removed are noticed while it runs.

Each function is a handler like those of services: its durable, its retries, its dead letters and its traces are made
by the same parts (`mesh.binding.Bindings`). Only what is called is elsewhere: in a process, or at an address.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from time import perf_counter

from mesh import Mesh, Received, Retry
from mesh.binding import Binding, Bindings
from mesh.errors import MeshError
from mesh.event import Event, declaration_of, find
from mesh.events.function import FunctionEmitted
from mesh.events.function_call import FunctionCallEnded
from mesh.observability.logs import log
from services.functions.call_log import CallLog
from services.functions.file_target import AFTER_CHANGE
from services.functions.folder import FoundFile, found_files
from services.functions.frames import Declared
from services.functions.function_file import FileView, FunctionFile, Live, Problem
from services.functions.function_settings import FunctionSettings
from services.functions.results import emitted_of, outcome_of
from services.functions.target import Called, Refused, Target, attributes, matcher

SIDE_BY_SIDE = 4
"""Calls of one function that are begun at once; those of one file are made one after the other."""


class Functions:
    """All functions of this process. `make` makes a target of a file; it is loaded here."""

    def __init__(
        self,
        mesh: Mesh,
        bindings: Bindings,
        call_log: CallLog,
        settings: FunctionSettings,
        make: Callable[[FoundFile], Target],
    ) -> None:
        self._mesh, self._bindings, self._call_log, self._settings = mesh, bindings, call_log, settings
        self._make = make
        self._files: dict[str, FunctionFile] = {}
        self._homes: dict[str, FunctionFile] = {}
        self._bound: dict[str, Declared] = {}
        self._looking = asyncio.Lock()

    @property
    def views(self) -> list[FileView]:
        """Every file, by its name."""
        return [self._files[name].view() for name in sorted(self._files)]

    def find(self, name: str) -> tuple[FileView, Live] | None:
        """The function of a name, and its file."""
        home = self._homes.get(name)
        return (home.view(), home.live[name]) if home and name in home.live else None

    async def follow(self) -> None:
        """Look at the folder again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except (MeshError, OSError) as error:
                log.warning("the folder of functions is looked at again", error=str(error))
            except Exception as error:  # noqa: BLE001  a defect with one file keeps no other from being read
                log.error("the folder of functions is looked at again", exc_info=error)
            await asyncio.sleep(self._settings.functions_look.total_seconds())

    async def look(self) -> None:
        """Take what has changed in the folder. Raises Unavailable; then the rest is taken the next time."""
        async with self._looking:
            found = await asyncio.to_thread(found_files, self._settings.folder)
            gone = self._files.keys() - found.keys()
            new = {name for name, file in found.items() if name not in self._files or self._files[name].read != file}
            if gone or new:  # a name that was taken may be free now
                new |= {name for name, file in self._files.items() if file.problem and file.problem.taken} - gone
            for name in gone:
                await self._remove(name)
            names = sorted(new)
            loaded = await asyncio.gather(*(self._load(name, found[name]) for name in names), return_exceptions=True)
            for name, target in zip(names, loaded, strict=True):
                if not isinstance(target, BaseException):
                    await self._run(name, found[name], target)
                elif isinstance(target, Refused):
                    self._refuse(name, found[name], target)
            await self._bind()
            for error in loaded:
                if isinstance(error, BaseException) and not isinstance(error, Refused):
                    raise error

    async def close(self) -> None:
        """End all processes."""
        await asyncio.gather(*(file.target.close() for file in self._files.values() if file.target))

    async def call(self, name: str, received: Received) -> list[FunctionEmitted]:
        """Call a function with an event: what it publishes. Raises what is to become of the event, as handlers do."""
        home = self._homes.get(name)
        if home is None or home.target is None or name not in home.live:
            raise Retry("its file was changed or removed", after=AFTER_CHANGE)
        live, target = home.live[name], home.target
        if not live.matches(attributes(received)):
            return []
        began = perf_counter()
        called = await target.call(live.declared, received)
        emitted, error = emitted_of(live.declared, called, received)
        self._note(live, target.version, received, called, error, perf_counter() - began)
        if error is not None:
            raise error
        return emitted

    def _note(
        self,
        live: Live,
        version: str,
        received: Received,
        called: Called,
        error: Exception | None,
        seconds: float,
    ) -> None:
        said = None if error is None else str(error)
        live.note(said)
        self._call_log.put(
            FunctionCallEnded(
                function=live.declared.name,
                version=version,
                event_id=received.id,
                event_type=declaration_of(type(received.event)).type,
                attempt=received.attempt,
                outcome=outcome_of(error),
                duration=round(seconds * 1000, 1),
                emitted=0 if error else len(called.emitted),
                error=said,
                output="\n".join(filter(None, (called.output.rstrip("\n"), *getattr(error, "__notes__", ())))),
                dropped=called.dropped,
            )
        )

    async def _load(self, name: str, found: FoundFile) -> Target:
        """The newest version of a file. Raises Refused."""
        log.info("a file of functions is read", file=name)
        if found.wrong is not None:
            raise Refused(found.wrong)
        target, began = self._make(found), perf_counter()
        await target.load()
        target.started = round((perf_counter() - began) * 1000, 1)
        return target

    async def _run(self, name: str, found: FoundFile, target: Target) -> None:
        """Have a version called from now on instead of the one before; or go on, where its functions cannot be."""
        file = self._files.setdefault(name, FunctionFile(name))
        try:
            live = self._checked(file, target)
        except Refused as refused:
            await target.close()
            self._refuse(name, found, refused)
            return
        old = file.target
        for one in file.live.keys() - live.keys():
            self._homes.pop(one, None)
        file.read, file.since, file.problem = found, datetime.now(UTC), None
        file.target, file.live = target, live
        if old is not None:
            await old.close()

    def _refuse(self, name: str, found: FoundFile, refused: Refused) -> None:
        log.error("a file of functions does not run", file=name, reason=refused.reason)
        file = self._files.setdefault(name, FunctionFile(name))
        is_same = file.problem is not None and file.problem.reason == refused.reason
        since = file.problem.since if file.problem and is_same else datetime.now(UTC)
        taken = isinstance(refused, NameTaken)
        file.read = found
        file.problem = Problem(reason=refused.reason, trace=refused.trace, since=since, taken=taken)

    def _checked(self, file: FunctionFile, target: Target) -> dict[str, Live]:
        """The functions of a target, which have their names from here on. Raises Refused."""
        layout, live = self._mesh.layout, dict[str, Live]()
        for declared in target.declared:
            home = self._homes.get(declared.name)
            if home is not None and home is not file:
                raise NameTaken(f"{declared.name} is a function of {home.name} already: rename one of them")
            for type_ in declared.types:
                known = find(type_)
                if known is None or known.personal or layout.family_of(known) in (layout.operations, layout.personal):
                    raise Refused(f"{declared.name}: functions get no {type_}")
            if declared.deadline is not None and declared.deadline > self._settings.functions_deadline.total_seconds():
                most = self._settings.functions_deadline.total_seconds()
                raise Refused(f"{declared.name}: its deadline is {declared.deadline:g} s, and {most:g} s are allowed")
            before = file.live.get(declared.name)
            made = live[declared.name] = Live(declared, matcher(declared))
            if before is not None:
                made.ends, made.last_error = before.ends, before.last_error
        self._homes |= dict.fromkeys(live, file)
        return live

    async def _bind(self) -> None:
        """Consume for just the functions that there are. Raises Unavailable; what is missing is bound the next time."""
        wanted = {name: one.declared for file in self._files.values() for name, one in file.live.items()}
        for name, bound in list(self._bound.items()):
            if name not in wanted or not _same_consumer(bound, wanted[name]):
                await self._bindings.remove(_binding(bound, self).durable)
                del self._bound[name]
        for name in wanted.keys() - self._bound.keys():
            await self._bindings.add(_binding(wanted[name], self))
            self._bound[name] = wanted[name]

    async def _remove(self, name: str) -> None:
        """The durables stay, with what waits in them, until the file comes back."""
        log.info("a file of functions was removed", file=name)
        file = self._files.pop(name)
        for one in file.live:
            self._homes.pop(one, None)
        if file.target is not None:
            await file.target.close()


class NameTaken(Refused):
    """Another file has a function of that name."""


def _binding(declared: Declared, functions: Functions) -> Binding:
    """The handler that a function is."""

    async def call(received: Received[Event]) -> AsyncIterator[FunctionEmitted]:
        for one in await functions.call(declared.name, received):
            yield one

    call.__name__, call.__doc__ = declared.name, declared.summary
    return Binding(
        service="functions",
        handler=call,
        kinds=tuple(found.kind for type_ in declared.types if (found := find(type_))),
        concurrency=SIDE_BY_SIDE,
        retries=declared.retries,
        new_only=True,
        wants_received=True,
    )


def _same_consumer(one: Declared, other: Declared) -> bool:
    return (set(one.types), one.retries) == (set(other.types), other.retries)
