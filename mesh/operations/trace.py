"""Trace: finds an event in the log by its id, its trace or its key, and gathers its whole story from every region.

A log is indexed by subject, so by key, and by sequence; not by id. An id is searched for from the latest message back
to `since`; once it is found, the rest is read by key (its cart's, its visitor's, its order's), which needs no search.
What was published under none of those keys is not found.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Message
from mesh.dead_letters import dead_letter_of
from mesh.errors import InvalidKey, MeshError
from mesh.observability.tracing import trace_id
from mesh.operations.causal_tree import Happening, happening, together
from mesh.streams import DEAD, MESH, dead_stream
from mesh.subjects import token
from mesh.topology.access import Access
from mesh.topology.apply import api

PATIENCE = 4.0
"""Seconds a region has to answer."""
WINDOW = 5_000
"""Messages that are searched at once, latest window first."""
MOST_KEYS = 64
MOST_DEAD_LETTERS = 10_000


class Story(msgspec.Struct, kw_only=True):
    """What was found. `searched` counts messages looked at for the first find; `silent` are regions and why."""

    events: list[Happening] = []
    searched: int = 0
    silent: dict[str, str] = {}
    cut: bool = False
    """Whether it goes on under more keys than are followed."""


async def story_of(access: Access, what: str, *, regions: Sequence[str], since: timedelta) -> Story:
    """The story that `what` (an event's id, a trace, a traceparent, a key) belongs to; empty when it is not found.

    Regions that do not answer are named; their events are read from the copies in the others. MeshError when none
    answers.
    """
    found = Story()
    connections = []
    for region in regions:
        try:
            async with asyncio.timeout(PATIENCE):
                connections.append(await Connection.open(access.login(region), name="cartmesh-trace"))
        except (MeshError, TimeoutError) as error:
            found.silent[region] = str(error) or f"no server took the connection within {PATIENCE:g} s"
    try:
        if not connections:
            raise MeshError("; ".join(found.silent.values()))
        brokers = [JetStreamBroker(one) for one in connections]
        search = _Search(brokers, found, whole=len(brokers) == len(access.regions))
        await search.run(trace_id(what) or what, since)
    finally:
        for connection in connections:
            await connection.drain()
    return found


class _Search:
    def __init__(self, brokers: Sequence[JetStreamBroker], found: Story, *, whole: bool) -> None:
        self._brokers, self._found, self._whole = brokers, found, whole
        self._events: dict[tuple[str, str], Happening] = {}
        self._seen: set[str] = set()

    async def run(self, what: str, since: timedelta) -> None:
        seeds = [one async for one in self._of_key(what)] or await self._hunted(what, datetime.now(UTC) - since)
        traces = {one.trace for one in seeds if one.trace}
        ids = {one.id for one in seeds}
        fresh = seeds
        while fresh:
            for one in fresh:
                self._keep(one)
                ids.add(one.id)
            keys = dict.fromkeys(key for one in fresh for key in one.keys if key not in self._seen)
            fresh = []
            for key in keys:
                if len(self._seen) >= MOST_KEYS:
                    self._found.cut = True
                    break
                fresh += [one async for one in self._of_key(key) if one.trace in traces or one.cause in ids]
        await self._dead_letters()
        self._found.events = list(self._events.values())

    def _keep(self, one: Happening) -> None:
        at = one.region, one.id
        self._events[at] = together(self._events[at], one) if at in self._events else one

    async def _of_key(self, key: str) -> AsyncIterator[Happening]:
        """Everything under one key in every region: the server's index of subjects finds it."""
        self._seen.add(key)
        try:
            token(key)
        except InvalidKey:
            return
        for broker in self._brokers:
            for stream in await _streams(broker):
                async for message in broker.read(stream, [f"*.*.*.*.{key}"]):
                    one = happening(message, here=broker.region, copy=stream.startswith(f"{MESH}_"))
                    if one is not None:
                        yield one

    async def _hunted(self, what: str, oldest: datetime) -> list[Happening]:
        """The newest event whose id or trace it is. Copies are searched for regions that are not."""
        needle = what.encode()
        for broker in self._brokers:
            for stream in await _streams(broker, copies=not self._whole):
                async for window in self._windows(broker, stream, oldest):
                    hits = [message for message in window if needle in message.body]
                    for message in reversed(hits):
                        one = happening(message, here=broker.region, copy=stream.startswith(f"{MESH}_"))
                        if one is not None and what in (one.id, one.trace):
                            return [one]
        return []

    async def _windows(self, broker: JetStreamBroker, stream: str, oldest: datetime) -> AsyncIterator[list[Message]]:
        """A stream's messages, latest window first, back to a time."""
        state = (await api(broker.connection, f"STREAM.INFO.{stream}", {}))["state"]
        end = state["last_seq"]
        while end >= max(state["first_seq"], 1):
            start = max(end - WINDOW, state["first_seq"] - 1)
            window = [message async for message in _between(broker, stream, start, end)]
            self._found.searched += len(window)
            yield window
            if window and window[0].stored < oldest:
                return
            end = start

    async def _dead_letters(self) -> None:
        """What was given up: dead letters hold the message itself."""
        for broker in self._brokers:
            count = 0
            async for message in broker.read(dead_stream(broker.region), [f"dead.{broker.region}.>"]):
                count += 1
                one = happening(message, here=broker.region)
                at = (one.region, one.id) if one else None
                if at in self._events:
                    dead_letter = dead_letter_of(message)
                    dead_letters = (
                        *self._events[at].dead_letters,
                        f"{dead_letter.durable} in {broker.region}: {dead_letter.reason}",
                    )
                    self._events[at] = msgspec.structs.replace(self._events[at], dead_letters=dead_letters)
                if count >= MOST_DEAD_LETTERS:
                    break


async def _between(broker: JetStreamBroker, stream: str, after: int, upto: int) -> AsyncIterator[Message]:
    async for message in broker.read(stream, [">"], after=after):
        if message.sequence > upto:
            return
        yield message


async def _streams(broker: JetStreamBroker, *, copies: bool = True) -> list[str]:
    """The region's streams that hold events, as its servers name them: this machine's `mesh.toml` may be outdated."""
    answer = await api(broker.connection, "STREAM.NAMES", {}, patience=PATIENCE)
    held = (name for name in answer.get("streams") or () if not name.startswith(("KV_", "OBJ_", f"{DEAD}_")))
    return sorted(name for name in held if copies or not name.startswith(f"{MESH}_"))
