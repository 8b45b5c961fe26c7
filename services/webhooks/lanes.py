"""Lanes: strict order for each key of a webhook. A lane is one webhook's deliveries of one key.

A lane has one timer, whatever waits in it, and remembers how far of each stream its partner got. What is next is read
from the streams, so that neither the order of deliveries nor the end of a process can change it. The timer is never
cancelled: it fires once more and finds nothing, which costs little, while a cancellation could meet the next event.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import msgspec

from mesh import Bucket, Mesh, Received
from mesh.envelope import derive_id
from mesh.errors import Conflict, Unavailable
from mesh.event import declaration_of
from mesh.mesh import readable
from mesh.partner_events import PARTNER_EVENTS, attributes
from mesh.subjects import subject
from services.webhooks.current_webhooks import InForce

FORGOTTEN = timedelta(days=30)
"""After so long without an attempt a lane is forgotten: what is older than that was delivered, or given up."""
READS, BEHIND = 10, 0.005
"""How often a server that is behind is asked again, and the first pause in seconds, which doubles."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partner got with one key: `done` is the last sequence of each stream.

    `attempt` is the next one of what is first now, `not_before` when. Until `busy_until` the process `owner` works on
    it. With `replayed` what happened before strict order began counts as well.
    """

    done: dict[str, int] = msgspec.field(default_factory=dict)
    attempt: int = 1
    not_before: datetime | None = None
    owner: str = ""
    busy_until: datetime | None = None
    replayed: bool = False


LANES: Bucket[Lane] = Bucket("webhook-lanes", Lane, ttl=FORGOTTEN)


def lane_id(webhook_id: str, key: str) -> str:
    """The id of a lane, which is that of its timer."""
    return derive_id(webhook_id, "lane", key)


class Lanes:
    """The lanes as one process works on them."""

    def __init__(self, mesh: Mesh, lease: timedelta) -> None:
        self._mesh, self._lease, self._owner = mesh, lease, token_hex(8)
        self._state = mesh.state(LANES)

    async def begin(self, id_: str) -> tuple[Lane, int] | datetime:
        """Begin to work on a lane: it and its revision; or when to come again, as another process does or it waits."""
        now = datetime.now(UTC)
        found, revision = await self._state.entry(id_)
        lane = found or Lane()
        if lane.busy_until is not None and lane.busy_until > now and lane.owner != self._owner:
            return lane.busy_until
        if lane.not_before is not None and lane.not_before > now + timedelta(milliseconds=5):
            return lane.not_before
        try:
            return await self.store(id_, lane, revision)
        except Conflict:
            return now + timedelta(seconds=1)

    async def store(self, id_: str, lane: Lane, revision: int, *, ended: bool = False) -> tuple[Lane, int]:
        """Keep a lane, and keep it ours unless work on it has `ended`. Raises Conflict where it is another's now."""
        until = None if ended else datetime.now(UTC) + self._lease
        kept = msgspec.structs.replace(lane, owner=self._owner, busy_until=until)
        return kept, await self._state.put(id_, kept, revision=revision)

    async def rewind(self, id_: str, stream: str, sequence: int) -> None:
        """Begin a lane again at a sequence of a stream, or earlier where that was asked for before."""

        def earlier(found: Lane | None) -> Lane:
            lane = found or Lane()
            before = sequence - 1
            done = {**lane.done, stream: min(lane.done.get(stream, before), before)}
            return msgspec.structs.replace(lane, done=done, attempt=1, not_before=None, replayed=True)

        await self._state.update(id_, earlier)

    async def next_events(self, found: InForce, key: str, lane: Lane, *, wanted: tuple[str, int]) -> list[Received]:
        """What is to be delivered next, in order; at least what is `wanted` (a stream and a sequence) is looked for."""
        for turn in range(READS):
            events, seen = await self._read(found, key, lane)
            stream, sequence = wanted
            if max(seen.get(stream, 0), lane.done.get(stream, 0)) >= sequence:
                return events
            await asyncio.sleep(BEHIND * 2**turn)
        return events

    async def _read(self, found: InForce, key: str, lane: Lane) -> tuple[list[Received], dict[str, int]]:
        """The events behind what is done, and the newest sequence seen of each stream, all as of one moment each."""
        webhook, events = found.webhook, list[Received]()
        seen: dict[str, int] = {}
        floor = datetime.now(UTC) - FORGOTTEN
        if webhook.ordered_since is not None and not lane.replayed:
            floor = max(floor, webhook.ordered_since)
        for stream, subjects in self._subjects(found, key).items():
            done = lane.done.get(stream, 0)
            for newest in await self._mesh.broker.last_of_each(stream, subjects):
                seen[stream] = max(seen.get(stream, 0), newest.sequence)
                if newest.sequence > done:
                    events += [one async for one in self._up_to(stream, newest.subject, done, newest.sequence)]
        kept = [one for one in events if one.stored >= floor and found.matches(attributes(one))]
        return sorted(kept, key=lambda one: (one.stored, one.sequence)), seen

    async def _up_to(self, stream: str, under: str, after: int, last: int) -> AsyncIterator[Received]:
        """What is under one subject behind `after`, up to `last`. A server that is behind is asked again."""
        for turn in range(READS):
            found = [one async for one in self._mesh.broker.read(stream, [under], after=after)]
            if any(one.sequence >= last for one in found):
                for one in readable(message for message in found if message.sequence <= last):
                    yield one
                return
            await asyncio.sleep(BEHIND * 2**turn)
        raise Unavailable(f"{self._mesh.region}: the servers that hold {stream} differ")

    def _subjects(self, found: InForce, key: str) -> dict[str, list[str]]:
        """Stream -> where a key's events are that a webhook may get."""
        wanted, region = set(found.webhook.form.types), self._mesh.region
        subjects: dict[str, list[str]] = {}
        for declaration in map(declaration_of, PARTNER_EVENTS):
            if not wanted or declaration.type in wanted:
                stream = self._mesh.layout.stream_of(declaration, region)
                subjects.setdefault(stream, []).append(subject(region, declaration, key))
        return subjects
