"""Events for people: what happened, looked up and watched, without personal data unless it is asked for.

Each region's own write streams are read, so an event is shown once, by the region where it happened. Whoever has
personal data shown says why, and that is an event too (`mesh.personal_data_shown.v1`) that stays in the region.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from mesh.broker.protocol import Message
from mesh.envelope import open_envelope, region_of
from mesh.errors import InvalidEvent, TopologyError, Unavailable
from mesh.event import declared, find
from mesh.events.mesh import PersonalDataShown
from mesh.mesh import Mesh
from mesh.subjects import MAX_TOKEN, token
from mesh.topology.access import Access
from mesh.topology.connect import connect
from mesh.topology.secrets import OPERATOR

HIDDEN = "(personal)"
_PATIENCE = 5.0
_SILENCE = 20.0


class Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as it is shown. Personal values are `(personal)`, or absent where they were erased."""

    id: str
    type: str
    region: str
    key: str
    time: datetime
    stored: datetime
    stream: str
    sequence: int
    source: str
    data: dict[str, Any]
    cause: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which events are asked for.

    `types` are names without or with their version, with `*` (`cart.*`, `order.placed`, `user.scored.v1`); none: all.
    """

    types: tuple[str, ...] = ()
    key: str | None = None
    since: timedelta | None = None
    """From how long ago; None: from now on."""

    def streams(self, mesh: Mesh) -> dict[str, tuple[str, ...]]:
        """Stream -> filters that bring what is asked for; TopologyError lists the events there are."""
        key = token(self.key) if self.key else "*"
        found: dict[str, tuple[str, ...]] = {}
        for declaration in declared():
            name = f"{declaration.domain}.{declaration.action}"
            if not self.types or any(
                fnmatchcase(declaration.type, one) or fnmatchcase(name, one) for one in self.types
            ):
                subject = f"{declaration.root}.{mesh.region}.{name}.{key}"
                stream = mesh.stream_of(declaration.kind)
                found[stream] = (*dict.fromkeys((*found.get(stream, ()), subject)),)
        if not found:
            known = ", ".join(sorted(declaration.type for declaration in declared()))
            raise TopologyError(f"no event is called {' or '.join(self.types)}; there are {known}")
        return found


async def recorded(mesh: Mesh, person: str, reason: str, question: str) -> None:
    """Write down in the region that a person has personal data shown, before it is."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", person)[:MAX_TOKEN] or "unknown"
    await mesh.publish(PersonalDataShown(person=name, at=datetime.now(UTC), reason=reason, question=question))


async def connected(access: Access, regions: Sequence[str], stack: AsyncExitStack) -> list[Mesh]:
    """The operator's connections; they are closed with the stack. Raises Unavailable, Denied, TopologyError."""
    meshes = []
    for region in regions:
        mesh = await connect(access, region, OPERATOR, patience=_PATIENCE)
        stack.push_async_callback(mesh.broker.drain)
        meshes.append(mesh)
    return meshes


async def answering(access: Access, regions: Sequence[str], stack: AsyncExitStack) -> tuple[list[Mesh], dict[str, str]]:
    """Like `connected`, but of regions that do not answer only why. Raises Unavailable when none does."""

    async def one(region: str) -> Mesh | str:
        others = tuple(name for name in access.regions if name != region)
        try:
            async with asyncio.timeout(_PATIENCE):
                return await connect(access, region, OPERATOR, others=others, patience=_PATIENCE)
        except TimeoutError:
            return f"no server took the connection within {_PATIENCE:g} s"
        except Unavailable as error:
            return str(error)

    found = await asyncio.gather(*(one(region) for region in regions))
    meshes = [mesh for mesh in found if isinstance(mesh, Mesh)]
    for mesh in meshes:
        stack.push_async_callback(mesh.broker.drain)
    silent = {region: why for region, why in zip(regions, found, strict=True) if isinstance(why, str)}
    if not meshes:
        raise Unavailable("; ".join(f"{region}: {why}" for region, why in silent.items()))
    return meshes, silent


async def listed(mesh: Mesh, question: Question, *, most: int, personal: bool = False) -> list[Shown]:
    """The last `most` events of a region that are asked for, oldest first."""
    since = datetime.now(UTC) - (question.since or timedelta(0))
    kept: list[Shown] = []
    for stream, filters in question.streams(mesh).items():
        last: deque[Message] = deque(maxlen=most)
        async for message in stored_since(mesh, stream, filters, since):
            last.append(message)
        kept += [one for message in last if (one := await shown(mesh, stream, message, personal=personal))]
    return sorted(kept, key=lambda one: one.stored)[-most:]


async def tailed(mesh: Mesh, question: Question, *, personal: bool = False) -> AsyncGenerator[Shown, None]:
    """The events of a region that are asked for, as they are stored; ends when it is closed."""
    since = datetime.now(UTC) - question.since if question.since else None
    queue: asyncio.Queue[Shown] = asyncio.Queue(1000)

    async def follow(stream: str, filters: tuple[str, ...]) -> None:
        deliveries = await mesh.broker.follow(stream, filters, since)
        try:
            while True:
                for message in await deliveries.fetch(256, 1.0):
                    if one := await shown(mesh, stream, message, personal=personal):
                        await queue.put(one)
        finally:
            await deliveries.close()

    async with asyncio.TaskGroup() as following:
        tasks = [following.create_task(follow(*place)) for place in question.streams(mesh).items()]
        try:
            while True:
                yield await queue.get()
        finally:
            for task in tasks:
                task.cancel()


async def found(mesh: Mesh, id_: str, *, since: timedelta, personal: bool = False) -> Shown | None:
    """The event of a region with an id, among those stored since so long ago."""
    question, needle = Question(since=since), f'"{id_}"'.encode()
    for stream, filters in question.streams(mesh).items():
        async for message in stored_since(mesh, stream, filters, datetime.now(UTC) - since):
            if needle in message.body:
                one = await shown(mesh, stream, message, personal=personal)
                if one and one.id == id_:
                    return one
    return None


async def shown(mesh: Mesh, stream: str, message: Message, *, personal: bool) -> Shown | None:
    """A stored message as it is shown; None when it is no event."""
    try:
        envelope = open_envelope(message.body)
        data = msgspec.json.decode(envelope.data)
    except (InvalidEvent, msgspec.DecodeError):
        return None
    data = (
        await readable(mesh, message, data)
        if personal
        else without_personal_values(envelope.type, message.subject, data)
    )
    return Shown(
        id=envelope.id,
        type=envelope.type,
        region=region_of(envelope),
        key=envelope.subject,
        time=envelope.time,
        stored=message.stored,
        stream=stream,
        sequence=message.sequence,
        source=envelope.source,
        data=data,
        cause=envelope.cause,
        traceparent=envelope.traceparent,
    )


async def readable(mesh: Mesh, message: Message, data: dict[str, Any]) -> dict[str, Any]:
    """An event's data with its personal fields decrypted; as it is stored where the event is not known here."""
    with suppress(InvalidEvent):
        data = msgspec.to_builtins((await mesh.received(message)).event)
    return data


def without_personal_values(type_: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    """An event's data, `(personal)` in place of each personal value: all but its key where the event is personal."""
    declaration = find(type_)
    if subject.startswith("pii."):
        kept = {declaration.key} if declaration else set()
        return _without(data, [name for name in data if name not in kept])
    return _without(data, declaration.encrypted) if declaration else data


def _without(data: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return data | {name: HIDDEN for name in names if data.get(name) is not None}


async def stored_since(mesh: Mesh, stream: str, filters: tuple[str, ...], since: datetime) -> AsyncIterator[Message]:
    """What is stored now and not older, in order. Raises Unavailable where the stream stops answering."""
    newest = await asyncio.gather(*(mesh.broker.last(stream, one) for one in filters))
    end = max((message.sequence for message in newest if message and message.stored >= since), default=0)
    clock = asyncio.get_running_loop().time
    deliveries, received = await mesh.broker.follow(stream, filters, since), clock()
    sequence = 0
    try:
        while sequence < end:
            for message in await deliveries.fetch(500, 0.5):
                sequence, received = message.sequence, clock()
                yield message
            if clock() - received > _SILENCE:
                raise Unavailable(f"{mesh.region}: {stream} delivers nothing for {_SILENCE:g} s")
    finally:
        await deliveries.close()
