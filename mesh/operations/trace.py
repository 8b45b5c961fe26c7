"""Trace: finds an event in the log by its id, its trace or its key, and gathers what led to it and what followed.

A log is indexed by subject, so by key, and by sequence; not by id. An id is searched for from the latest message back
to `since`; once it is found, the rest is read by key (its cart's, its visitor's, its order's), which needs no search.
What was published under none of those keys is not found.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.broker.protocol import Message
from mesh.mesh import Mesh
from mesh.observability.tracing import trace_id
from mesh.operations.causal_tree import TracedEvent
from mesh.operations.log_reader import LogReader, between, streams_of

WINDOW = 5_000
"""Messages that are searched at once, latest window first."""
MOST_KEYS = 64


class Trace(msgspec.Struct, kw_only=True):
    """What was found. `searched` counts messages looked at for the first find."""

    events: list[TracedEvent] = []
    searched: int = 0
    cut: bool = False
    """Whether it goes on under more keys than are followed."""


async def trace_of(meshes: Sequence[Mesh], what: str, *, since: timedelta, personal: bool = False) -> Trace:
    """All that belongs to `what` (an event's id, a trace, a traceparent, a key); empty when it is not found.

    Of regions that are not among `meshes`, the copies in the others are read. Raises Unavailable.
    """
    search = _Search(LogReader(meshes, personal=personal))
    await search.run(trace_id(what) or what, datetime.now(UTC) - since)
    return search.found


class _Search:
    def __init__(self, reader: LogReader) -> None:
        self._reader, self.found = reader, Trace()
        regions = {mesh.region for mesh in reader.meshes}
        self._whole = all(regions.issuperset(mesh.others) for mesh in reader.meshes)

    async def run(self, what: str, oldest: datetime) -> None:
        reader = self._reader
        fresh = await reader.under([what]) or await self._searched(what, oldest)
        traces, ids = {one.trace for one in fresh if one.trace}, set[str]()
        while fresh:
            reader.keep(fresh)
            ids.update(one.id for one in fresh)
            keys = [key for key in dict.fromkeys(key for one in fresh for key in one.keys) if key not in reader.read]
            room = max(0, MOST_KEYS - len(reader.read))
            self.found.cut = self.found.cut or len(keys) > room
            fresh = [one for one in await reader.under(keys[:room]) if one.trace in traces or one.cause in ids]
        await reader.add_dead_letters()
        self.found.events = list(reader.events.values())

    async def _searched(self, what: str, oldest: datetime) -> list[TracedEvent]:
        """The newest event whose id or trace it is. Copies are searched for regions that are not."""
        needle = what.encode()
        for mesh in self._reader.meshes:
            for stream in streams_of(mesh, copies=not self._whole):
                async for window in self._windows(mesh, stream, oldest):
                    for message in reversed([message for message in window if needle in message.body]):
                        one = await self._reader.traced_event(mesh, message, stream)
                        if one is not None and what in (one.id, one.trace):
                            return [one]
        return []

    async def _windows(self, mesh: Mesh, stream: str, oldest: datetime) -> AsyncIterator[list[Message]]:
        """A stream's messages, latest window first, back to a time."""
        last = await mesh.broker.last(stream, ">")
        first = 0
        async for message in mesh.broker.read(stream, [">"]):
            first = message.sequence
            break
        end = last.sequence if last else 0
        while end >= max(first, 1):
            start = max(end - WINDOW, first - 1)
            window = [message async for message in between(mesh, stream, start, end)]
            self.found.searched += len(window)
            yield window
            if window and window[0].stored < oldest:
                return
            end = start
