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
            await asyncio.sleep(self._settings.functions_look.total_seconds())

    async def look(self) -> None:
        """Take what has changed in the folder. Raises Unavailable; then the rest is taken the next time."""
        async with self._looking:
            found = await asyncio.to_thread(found_files, self._settings.folder)
            for name in self._files.keys() - found.keys():
                await self._remove(name)
            await asyncio.gather(*(self._offer(name, file) for name, file in found.items() if self._is_new(name, file)))

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

    def _is_new(self, name: str, found: FoundFile) -> bool:
        known = self._files.get(name)
        return known is None or known.found != found or bool(known.problem and known.problem.taken)

    async def _offer(self, name: str, found: FoundFile) -> None:
        """Run the newest version of a file, or go on with the one before and remember why."""
        file = self._files.setdefault(name, FunctionFile(found))
        if file.problem is None or file.found != found:
            log.info("a file of functions is read", file=name)
        file.found = found
        try:
            if found.wrong is not None:
                raise Refused(found.wrong)
            target, began = self._make(found), perf_counter()
            await target.load()
            took = perf_counter() - began
        except Refused as refused:
            self._refuse(file, refused)
            return
        try:
            live = self._checked(file, target)
        except Refused as refused:
            await target.close()
            self._refuse(file, refused)
            return
        file.started = round(took * 1000, 1)
        await self._replace(file, target, live)

    def _refuse(self, file: FunctionFile, refused: Refused) -> None:
        taken = isinstance(refused, NameTaken)
        if file.problem is None or file.problem.reason != refused.reason:
            log.error("a file of functions does not run", file=file.found.path.name, reason=refused.reason)
            file.problem = Problem(reason=refused.reason, trace=refused.trace, since=datetime.now(UTC), taken=taken)

    def _checked(self, file: FunctionFile, target: Target) -> dict[str, Live]:
        """The functions of a target, which have their names from here on. Raises Refused."""
        layout, live = self._mesh.layout, dict[str, Live]()
        for declared in target.declared:
            home = self._homes.get(declared.name)
            if home is not None and home is not file:
                raise NameTaken(f"{declared.name} is a function of {home.found.path.name} already: rename one of them")
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

    async def _replace(self, file: FunctionFile, target: Target, live: dict[str, Live]) -> None:
        before, old = file.live, file.target
        file.target, file.live, file.since, file.problem = target, live, datetime.now(UTC), None
        for name in before.keys() - live.keys():
            self._homes.pop(name, None)
            await self._bindings.remove(_binding(before[name].declared, self).durable)
        for name, one in live.items():
            made, known = _binding(one.declared, self), before.get(name)
            if known is not None and _same_consumer(known.declared, one.declared):
                continue
            if known is not None:
                await self._bindings.remove(made.durable)
            await self._bindings.add(made)
        if old is not None:
            await old.close()

    async def _remove(self, name: str) -> None:
        """The durables stay, with what waits in them, until the file comes back."""
        file = self._files.pop(name)
        log.info("a file of functions was removed", file=name)
        for one in file.live.values():
            await self._bindings.remove(_binding(one.declared, self).durable)
            self._homes.pop(one.declared.name, None)
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
