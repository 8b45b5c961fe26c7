"""Mesh: a service's connection to its region. Typed events in, typed events out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from mesh.broker.protocol import Broker, Message, Stored
from mesh.envelope import Received, decode, region_of, source_of
from mesh.errors import InvalidEvent
from mesh.event import Declaration, Event, declaration_of, declared, key_of
from mesh.events.mesh import MeshHeartbeat
from mesh.events.order import PurchaseHeartbeat
from mesh.group_commit import GroupCommitter
from mesh.history import History
from mesh.personal_data import PersonalData
from mesh.publish import Cause, Change, Draft, WhenStored, new_cause, plan
from mesh.state import Objects, State
from mesh.streams import DEFAULT_LAYOUT, Bucket, ObjectStore, StreamLayout, mesh_stream
from mesh.subjects import every, history_filter, subject, subject_of
from mesh.timers import Timer

T = TypeVar("T")
E = TypeVar("E", bound=Event)
_SUBJECTS = 500
"""The most subjects in one request; the server takes 1,024 (ADR-31)."""


class Mesh:
    """One service's connection to one region. Handlers get it by asking for a parameter of this type."""

    def __init__(
        self,
        broker: Broker,
        service: str,
        *,
        others: tuple[str, ...] = (),
        zones: Mapping[str, str] | None = None,
        layout: StreamLayout = DEFAULT_LAYOUT,
    ) -> None:
        self.broker, self.service, self.layout = broker, service, layout
        self.personal_data = PersonalData(broker)
        self.others = others
        """Names of the other regions of the mesh."""
        self.group = GroupCommitter(broker)
        """Stores what this service commits, plans of the same moment together."""
        self.zones = zones or {}
        """The regions' time zones by name, where they are known."""
        self.readiness_checks: list[Callable[[], str | None]] = []
        """What may keep the service from being ready, besides the servers: each returns why, or None."""
        self.on_drain: list[Callable[[], None]] = []
        """Called first of all when the service is asked to stop: streams that would stay open for ever end here."""

    @property
    def region(self) -> str:
        """The region this connection lives in."""
        return self.broker.region

    @property
    def commerce(self) -> str:
        """The region's commerce stream."""
        return self.layout.commerce.stream(self.region)

    def stream_of(self, kind: type[Event]) -> str:
        """The region's write stream of an event."""
        return self.layout.stream_of(declaration_of(kind), self.region)

    async def publish(self, *changes: Change, cause: Cause | None = None) -> list[Stored]:
        """Make changes true and return once they are stored; those of an atomic stream in one commit or not at all.

        Handlers yield instead. Raises Conflict, InvalidKey, Denied, Unavailable, and DeclarationError as `plan`.
        """
        return await self.commit(changes, cause or new_cause(self.service))

    async def commit(self, changes: Iterable[Change], cause: Cause) -> list[Stored]:
        """Like `publish`, with the cause that the ids are derived from."""
        changes = list(changes)
        made = plan(await self.encrypted(changes), region=self.region, cause=cause, layout=self.layout)
        stored = await self.group.commit(made)
        if made.batch and not stored[0].duplicate:
            behind = {message.subject: at for at, message in enumerate(reversed(made.batch))}
            for one in changes:
                if isinstance(one, WhenStored):
                    one.call(stored[0].sequence - behind[subject_of(self.region, one.event)])
        return stored

    async def encrypted(self, changes: Iterable[Change]) -> list[Change]:
        """Changes as they are stored, personal fields encrypted. `publish` and `commit` do it by themselves."""
        made: list[Change] = []
        for change in changes:
            match change:
                case Event():
                    made.append(await self.personal_data.encrypt(change))
                case Draft() | Timer():
                    key = change.key if isinstance(change, Draft) else None
                    event = await self.personal_data.encrypt(change.event, key)
                    made.append(change if event is change.event else replace(change, event=event))
                case _:
                    made.append(change)
        return made

    async def received(self, message: Message) -> Received:
        """A stored message as a typed event, personal fields decrypted; InvalidEvent when it is none."""
        (opened,) = await self.personal_data.decrypt([received(message)])
        return opened

    async def history(self, key: str, *wanted: str | type[Event]) -> History:
        """All that happened to `key` in these domains and of these kinds, oldest first; fewer kinds cost less.

        A personal event of a domain that has others as well is asked for by its kind. The history is as it was at one
        moment, and may miss the newest: see `Unchanged`. Raises Unavailable, and Denied without the right to read it.
        """
        patterns: dict[str, set[str]] = {}
        for declaration, pattern in self._asked(key, wanted):
            patterns.setdefault(self.layout.stream_of(declaration, self.region), set()).add(pattern)
        found = await asyncio.gather(*(self.broker.read_few(stream, sorted(some)) for stream, some in patterns.items()))
        opened = await self.personal_data.decrypt(readable(message for part in found for message in part))
        several = len(patterns) > 1  # sequences of two streams say nothing of each other
        return History(key, tuple(sorted(opened, key=lambda one: (one.stored if several else 0, one.sequence))))

    def _asked(self, key: str, wanted: tuple[str | type[Event], ...]) -> Iterator[tuple[Declaration, str]]:
        """The declarations and subjects of a history. Only who asks for a domain needs a look at all of them."""
        kinds = [one for one in wanted if not isinstance(one, str)]
        looked_at = tuple(map(declaration_of, kinds) if len(kinds) == len(wanted) else declared())
        open_domains = {declaration.domain for declaration in looked_at if not declaration.personal}
        for declaration in looked_at:
            if declaration.domain in wanted and not (declaration.personal and declaration.domain in open_domains):
                yield declaration, history_filter(self.region, declaration.domain, key, root=declaration.root)
            elif declaration.kind in wanted:
                yield declaration, subject(self.region, declaration, key)

    async def history_elsewhere(self, region: str, key: str, *domains: str) -> History:
        """What happened to `key` in these domains in another region, as far as it has arrived here, oldest first.

        Of domains whose events are not personal: others do not travel.
        """
        patterns = sorted(history_filter(region, domain, key) for domain in domains)
        found = readable(await self.broker.read_few(mesh_stream(self.region), patterns))
        return History(key, tuple(sorted(found, key=lambda one: one.sequence)))

    async def last(self, kind: type[E], key: str, *, region: str | None = None) -> Received[E] | None:
        """The newest event of a kind and key, or None; asked of the stream's leader.

        Another `region`'s is the newest that has arrived here.
        """
        declaration, origin = declaration_of(kind), region or self.region
        stream = self.layout.stream_of(declaration, origin) if origin == self.region else mesh_stream(self.region)
        message = await self.broker.last(stream, subject(origin, declaration, key))
        return await self.received(message) if message else None

    async def last_of_each(
        self, kind: type[E], keys: Iterable[str], *, region: str | None = None
    ) -> dict[str, Received[E]]:
        """The newest event of a kind for each of these keys that has one, by one request for each 500 keys.

        Unlike `last` it may miss the newest. Another `region`'s are the newest that have arrived here.
        """
        declaration, origin = declaration_of(kind), region or self.region
        stream = self.layout.stream_of(declaration, origin) if origin == self.region else mesh_stream(self.region)
        found: dict[str, Received[E]] = {}
        subjects = [subject(origin, declaration, key) for key in keys]
        for at in range(0, len(subjects), _SUBJECTS):
            for message in await self.broker.last_of_each(stream, subjects[at : at + _SUBJECTS]):
                opened = await self.received(message)
                found[key_of(opened.event)] = opened
        return found

    async def all_of(self, kind: type[E], key: str, *, region: str | None = None) -> list[Received[E]]:
        """Every event of a kind and key, oldest first. May miss the newest; of another `region` what has arrived here.

        Of a kind without personal data: nothing is decrypted.
        """
        declaration, origin = declaration_of(kind), region or self.region
        stream = self.layout.stream_of(declaration, origin) if origin == self.region else mesh_stream(self.region)
        found = self.broker.read(stream, [subject(origin, declaration, key)])
        return list(readable([message async for message in found]))

    async def read(self, *kinds: type[Event], stream: str | None = None, after: int = 0) -> AsyncIterator[Received]:
        """Every event of these kinds in order from a stream (default: the kinds' own), from behind a sequence.

        Each kind is read at a moment of its own: who goes on behind the last event that was read reads one kind.
        """
        homes: dict[str, list[str]] = {}
        for kind in kinds:
            home = stream or self.stream_of(kind)
            origin = "*" if home == mesh_stream(self.region) else self.region
            homes.setdefault(home, []).append(every(declaration_of(kind), region=origin))
        for home, filters in homes.items():
            async for message in self.broker.read(home, filters, after=after):
                yield await self.received(message)

    def state(self, bucket: Bucket[T]) -> State[T]:
        """A bucket's values."""
        return State(self.broker, bucket)

    def objects(self, object_store: ObjectStore) -> Objects:
        """An object store's values."""
        return Objects(self.broker, object_store)

    async def ask(
        self,
        service: str,
        question: str,
        body: msgspec.Struct,
        answer: type[T],
        *,
        within: timedelta = timedelta(seconds=2),
    ) -> T:
        """Ask another service of this region and wait. Unavailable when it does not answer in time."""
        asked = f"rpc.{self.region}.{service}.{question}"
        reply = await self.broker.request(asked, msgspec.json.encode(body), timeout=within.total_seconds())
        return msgspec.json.decode(reply, type=answer)

    async def staleness(self) -> dict[str, timedelta | None]:
        """Per other region the age of what is known here of its purchases; None where none was heard of lately."""
        now, ages = datetime.now(UTC), dict[str, timedelta | None]()
        for region in self.others:
            alive = await self.last(MeshHeartbeat, region, region=region)
            at = alive.event.at if alive else None
            if alive and alive.event.purchases:
                newest = await self.last(PurchaseHeartbeat, region, region=region)
                at = newest.event.at if newest else None
            ages[region] = now - at if at else None
        return ages


def readable(messages: Iterable[Message]) -> Iterator[Received]:
    """The events in messages, without those that became dead letters when they were consumed."""
    for message in messages:
        with suppress(InvalidEvent):
            yield received(message)


def received(message: Message) -> Received:
    """A stored message as a typed event; InvalidEvent when it is none, or when its writer had no right to write it.

    The server checks who may publish on which subject, so the subject must be that of the event. It does not check what
    a schedule publishes, so a scheduled event must come from its own timer's subject.
    """
    envelope, happened = decode(message.body)
    declaration = declaration_of(type(happened))
    region = region_of(envelope)
    place = f"{region}.{declaration.name}.{key_of(happened)}"
    if message.subject != f"{declaration.root}.{place}":
        raise InvalidEvent(f"{declaration.type} of {place} is stored under {message.subject}")
    if message.fired_by not in (None, f"timer.{place}"):
        raise InvalidEvent(
            f"{message.subject} was published by the schedule {message.fired_by}, which is not its timer"
        )
    return Received(
        event=happened,
        id=envelope.id,
        time=envelope.time,
        stored=message.stored,
        region=region,
        sequence=message.sequence,
        subject=message.subject,
        traceparent=envelope.traceparent,
        cause=envelope.cause,
        attempt=message.attempt,
        source=source_of(envelope),
    )
