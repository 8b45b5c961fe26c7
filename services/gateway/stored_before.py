"""Stored before: what a stream already holds under an event's id, or for its key."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from mesh import Event, Mesh, Received
from mesh.broker.protocol import Stored
from mesh.errors import InvalidEvent
from mesh.event import declaration_of, key_of
from mesh.subjects import subject
from services.gateway.judged import Valid

LATE = timedelta(seconds=60)
"""An older event may be a retry that JetStream no longer knows as a duplicate, so it is looked up."""
PAUSE = 0.05
"""Seconds until a follower that answers reads has applied what was just stored."""


@dataclass
class Earlier:
    """The events stored before of one request's kinds and keys; each subject is read once for all late events."""

    mesh: Mesh
    read: dict[str, asyncio.Task[dict[str, Received]]] = field(default_factory=dict)

    async def late(self, one: Valid) -> Received | None:
        """The stored event that a late one repeats, or None."""
        if one.sent.age <= LATE:
            return None
        at = _subject(self.mesh, one.sent.event)
        if at not in self.read:
            self.read[at] = asyncio.ensure_future(_all_of(self.mesh, one.sent.event))
        return (await self.read[at]).get(one.sent.id)

    async def duplicate(self, one: Valid, stored: Stored) -> Received | None:
        """The event that JetStream took `one` for a duplicate of.

        None when it cannot be read, or when its id was given to an event of another kind or key.
        """
        if stored.sequence:
            stream = self.mesh.stream_of(type(one.sent.event))
            message = await self.mesh.broker.get(stream, stored.sequence)
            if message is not None:
                try:
                    return await self.mesh.received(message)
                except InvalidEvent:
                    return None
        last = await self.mesh.last(type(one.sent.event), key_of(one.sent.event))
        if last and last.id == one.sent.id:
            return last
        for turn in range(4):
            await asyncio.sleep(turn * PAUSE)
            if found := (await _all_of(self.mesh, one.sent.event)).get(one.sent.id):
                return found
        return None


def _subject(mesh: Mesh, event: Event) -> str:
    return subject(mesh.region, declaration_of(type(event)), key_of(event))


async def _all_of(mesh: Mesh, event: Event) -> dict[str, Received]:
    """Every stored event of the same kind and key, by id."""
    found = {}
    stream = mesh.stream_of(type(event))
    async for message in mesh.broker.read(stream, [_subject(mesh, event)]):
        try:
            known = await mesh.received(message)
        except InvalidEvent:
            continue  # it became a dead letter where it was consumed
        found[known.id] = known
    return found
