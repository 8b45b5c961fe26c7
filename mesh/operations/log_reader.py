"""Log reader: the events stored under some keys, from every region that answers, each event once.

A log is indexed by subject, so by key: reading a key costs no search, however old its events are.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from mesh.broker.protocol import Message
from mesh.dead_letters import dead_letter_of
from mesh.errors import InvalidKey
from mesh.event import declared
from mesh.mesh import Mesh
from mesh.operations.causal_tree import Place, TracedEvent, together, traced_event
from mesh.operations.events import readable
from mesh.streams import dead_stream, mesh_stream
from mesh.subjects import token

MOST_DEAD_LETTERS = 10_000
_OWNED = frozenset({"visitor_id", "cart_id", "order_id"})
"""Fields that say whose an event is."""


class LogReader:
    """Reads the streams of some regions, and collects what is kept of it in `events`.

    What a region copied of another is read too: it says when it arrived, and stands in for a region that is down.
    With `personal` the fields that are stored encrypted are decrypted, where that is still possible.
    """

    def __init__(self, meshes: Sequence[Mesh], *, personal: bool = False) -> None:
        self.meshes, self._personal = meshes, personal
        self.events: dict[Place, TracedEvent] = {}
        self.read: set[str] = set()
        """The keys that were read."""

    async def under(self, keys: Iterable[str]) -> list[TracedEvent]:
        """Everything under these keys; those that were read before, or can be no key, bring nothing."""
        fresh = [key for key in dict.fromkeys(keys) if key not in self.read and _is_token(key)]
        self.read.update(fresh)
        patterns = [f"*.*.*.*.{key}" for key in fresh]
        places = [(mesh, stream) for mesh in self.meshes for stream in streams_of(mesh)] if patterns else []
        return [one for place in places async for one in self._stored(*place, patterns)]

    async def timers_of(self, visitors: Iterable[str], carts: Iterable[str]) -> list[TracedEvent]:
        """Timers that wait under other keys than their visitor's or cart's, such as those of journey runs."""
        whose = {*visitors, *carts}
        places = [
            (mesh, mesh.stream_of(one.kind), [f"timer.{mesh.region}.{one.name}.*"])
            for mesh in self.meshes
            for one in declared()
            if mesh.layout.family_of(one).schedules
            and one.key not in _OWNED
            and _OWNED & set(one.kind.__struct_fields__)
        ]
        stored = [one for place in places async for one in self._stored(*place)]
        return [one for one in stored if any(one.data.get(name) in whose for name in _OWNED)]

    async def _stored(self, mesh: Mesh, stream: str, patterns: Sequence[str]) -> AsyncIterator[TracedEvent]:
        async for message in mesh.broker.read(stream, patterns):
            if one := await self.traced_event(mesh, message, stream):
                yield one

    async def traced_event(self, mesh: Mesh, message: Message, stream: str) -> TracedEvent | None:
        """A message of a stream as an event; None when it is none."""
        one = traced_event(message, here=mesh.region, copy=stream == mesh_stream(mesh.region))
        if one is not None and self._personal and message.subject.startswith("pii."):
            return msgspec.structs.replace(one, data=await readable(mesh, message, one.data))
        return one

    def keep(self, found: Iterable[TracedEvent]) -> None:
        """Add events to `events`; a copy is merged with its original."""
        for one in found:
            place = one.region, one.id
            self.events[place] = together(self.events[place], one) if place in self.events else one

    async def add_dead_letters(self) -> None:
        """Note at the kept events which handlers gave them up: a dead letter holds the message itself."""
        for mesh in self.meshes:
            count = 0
            async for message in mesh.broker.read(dead_stream(mesh.region), [f"dead.{mesh.region}.>"]):
                count += 1
                one = traced_event(message, here=mesh.region)
                known = self.events.get((one.region, one.id)) if one else None
                if known is not None:
                    letter = dead_letter_of(message)
                    reasons = (*known.dead_letters, f"{letter.durable} in {mesh.region}: {letter.reason}")
                    self.events[known.region, known.id] = msgspec.structs.replace(known, dead_letters=reasons)
                if count >= MOST_DEAD_LETTERS:
                    break


def streams_of(mesh: Mesh, *, copies: bool = True) -> list[str]:
    """The streams of a region that hold events."""
    own = [family.stream(mesh.region) for family in mesh.layout.families]
    return [*own, mesh_stream(mesh.region)] if copies and mesh.others else own


async def between(mesh: Mesh, stream: str, after: int, upto: int) -> AsyncIterator[Message]:
    """The messages of a stream behind one sequence up to another."""
    async for message in mesh.broker.read(stream, [">"], after=after):
        if message.sequence > upto:
            return
        yield message


def _is_token(key: str) -> bool:
    try:
        token(key)
    except InvalidKey:
        return False
    return True
