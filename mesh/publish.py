"""Publishing: changes become a plan, which is the messages that make them true. `mesh.commit` stores a plan.

Ids are derived from the cause, so a retry changes nothing; and from the region, because every region may decide about
the same event, and all meet in the MESH streams.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from mesh.broker.protocol import Expect, Outgoing
from mesh.causation import handled_event
from mesh.envelope import derive_id, encode
from mesh.errors import DeclarationError
from mesh.event import Declaration, Event, declaration_of, key_of
from mesh.history import Unchanged
from mesh.observability import tracing
from mesh.streams import DEFAULT_LAYOUT, StreamFamily, StreamLayout
from mesh.subjects import carrier_subject, subject, timer_subject
from mesh.timers import Cancel, Timer

if TYPE_CHECKING:
    from mesh.personal_data import PersonalKey

MAX_BATCH = 1000
"""The most messages that the server stores in one commit (ADR-50)."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event whose id, time or trace is known beforehand, such as one that a storefront sent.

    `key` is its person's, where that was just asked for (`mesh.personal_data.key_for`).
    """

    event: Event
    id: str | None = None
    time: datetime | None = None
    traceparent: str | None = None
    key: "PersonalKey | None" = None


@dataclass(frozen=True)
class WhenStored:
    """Once an `event` of the same commit is stored, `call` is called with its place in the stream.

    Not where the commit had been stored before, as by an attempt whose answer was lost. `call` may not fail.
    """

    event: Event
    call: Callable[[int], None]


Change = Event | Draft | Timer | Cancel | Unchanged | WhenStored


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why something is published: the id that its ids derive from, who decides, and the span that publishes it.

    `event` is the id of the event that it follows from, where it is one.
    """

    id: str
    source: str
    traceparent: str | None = None
    event: str | None = None


def new_cause(source: str, traceparent: str | None = None) -> Cause:
    """The cause of what is published by itself: a fresh id, and the event being handled, if there is one."""
    return Cause(
        id=uuid4().hex, source=source, traceparent=traceparent or tracing.current_context(), event=handled_event()
    )


@dataclass
class Plan:
    """Changes as messages: `batch` is stored in `stream` in one commit, `singles` each by itself in its own stream."""

    stream: str
    batch: list[Outgoing] = field(default_factory=list)
    singles: list[tuple[str, Outgoing]] = field(default_factory=list)
    events: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How many events there are of a service, wire type and outcome."""


def plan(changes: Iterable[Change], *, region: str, cause: Cause, layout: StreamLayout = DEFAULT_LAYOUT) -> Plan:
    """The messages that make `changes` true.

    Conditions and cancellations ride on the messages that change the same subject, else on any that
    is free, else on a short-lived message of their own (subject `carrier.<region>.<stream family>.<id>`).
    Raises InvalidKey, and DeclarationError where a condition is of a stream that is not atomic, a timer of one that
    has none, or where what must be stored in one commit belongs to two atomic streams.
    """
    made, conditions, cancels = _Planning(region, layout, cause), {}, []
    for index, change in enumerate(changes):
        match change:
            case Unchanged(kind, key, sequence):
                conditions[subject(region, made.atomic(kind), key)] = sequence
            case Cancel(kind, key):
                cancels.append(timer_subject(region, made.scheduled(kind), key))
            case Timer(event, at):
                made.schedule(event, at, index)
            case Draft():
                made.add(change, index)
            case Event():
                made.add(Draft(event=change), index)
            case WhenStored():  # changes nothing: see Mesh.commit
                pass
            case _:
                raise DeclarationError(f"{cause.source}: {change!r} is no event, Timer, Cancel or Unchanged")
    return made.finished(conditions, cancels)


class _Planning:
    """A plan in the making: finds the one atomic stream that everything of the commit belongs to."""

    def __init__(self, region: str, layout: StreamLayout, cause: Cause) -> None:
        self._region, self._layout, self._cause = region, layout, cause
        self._service = cause.source.partition(".")[0]
        self._family: StreamFamily | None = None
        self._first: Declaration | None = None
        self._made = Plan("")

    def atomic(self, kind: type[Event]) -> Declaration:
        """The declaration of an event that is a part of the commit."""
        declaration = declaration_of(kind)
        family = self._layout.family_of(declaration)
        if not family.atomic:
            raise DeclarationError(
                f"{declaration.type} is in {family.name}: only events of an atomic stream, such as "
                f"{self._layout.commerce.name}, can be expected unchanged"
            )
        self._first = self._first or declaration
        if self._family not in (None, family):
            raise DeclarationError(
                f"{self._cause.source}: {self._first.type} and {declaration.type} cannot be one commit: one is in "
                f"{self._layout.family_of(self._first).name}, the other in {family.name}. Publish one of them, and let "
                "a handler of it publish the other"
            )
        self._family = family
        return declaration

    def scheduled(self, kind: type[Event]) -> Declaration:
        """The declaration of an event whose timer is a part of the commit."""
        declaration = declaration_of(kind)
        family = self._layout.family_of(declaration)
        if not family.schedules:
            raise DeclarationError(
                f"{declaration.type} is in {family.name}: only events of a stream with timers, such as "
                f"{self._layout.commerce.name}, can be scheduled or cancelled"
            )
        return self.atomic(kind)

    def add(self, draft: Draft, index: int) -> None:
        """Add an event: to the commit, or to what is stored by itself."""
        declaration = declaration_of(type(draft.event))
        cause, id_ = self._cause, draft.id or self._id(index, declaration)
        message = Outgoing(
            subject=subject(self._region, declaration, key_of(draft.event)),
            body=encode(
                draft.event,
                id=id_,
                region=self._region,
                source=self._service,
                time=draft.time,
                traceparent=draft.traceparent or cause.traceparent,
                cause=cause.event if cause.event != id_ else None,
            ),
            id=id_,
            ttl=declaration.ttl,
        )
        self._made.events[self._service, declaration.type, getattr(draft.event, "outcome", "")] += 1
        family = self._layout.family_of(declaration)
        if family.atomic:
            self.atomic(declaration.kind)
            self._made.batch.append(message)
        else:
            self._made.singles.append((family.stream(self._region), message))

    def schedule(self, event: Event, at: datetime, index: int) -> None:
        """Add a message that the server publishes as an event at a time."""
        declaration, cause = self.scheduled(type(event)), self._cause
        id_, key = self._id(index, declaration), key_of(event)
        body = encode(
            event,
            id=id_,
            region=self._region,
            source=self._service,
            time=at,
            traceparent=cause.traceparent,
            cause=cause.event,
        )
        self._made.batch.append(
            Outgoing(
                subject=timer_subject(self._region, declaration, key),
                target=subject(self._region, declaration, key),
                body=body,
                id=f"{id_}.timer",
                at=at,
            )
        )

    def finished(self, conditions: dict[str, int], cancels: list[str]) -> Plan:
        """The plan, with conditions and cancellations in their places."""
        made, family = self._made, self._family or self._layout.commerce
        made.stream = family.stream(self._region)
        carriers = _attach(made.batch, conditions, cancels, partial(_carrier, self._region, family.name, self._cause))
        if made.batch or made.singles or cancels:
            made.batch[:0] = carriers
        if len(made.batch) > MAX_BATCH:
            raise DeclarationError(
                f"{self._cause.source}: {len(made.batch)} messages in one commit; {MAX_BATCH} is the most"
            )
        return made

    def _id(self, index: int, declaration: Declaration) -> str:
        return derive_id(self._region, self._cause.id, self._cause.source, index, declaration.name)


def _attach(
    batch: list[Outgoing], conditions: dict[str, int], cancels: list[str], carrier: Callable[..., Outgoing]
) -> list[Outgoing]:
    """Put conditions and cancellations on the batch's messages; returns messages for those that found no place."""
    if not conditions and not cancels:
        return []
    for at, message in enumerate(batch):
        if message.subject in conditions:
            batch[at] = replace(
                message, expect=Expect(subject=message.subject, sequence=conditions.pop(message.subject))
            )
    free = [at for at, message in enumerate(batch) if message.expect is None]
    carriers: list[Outgoing] = []
    for watched, sequence in conditions.items():
        expect = Expect(subject=watched, sequence=sequence)
        if free:
            at = free.pop(0)
            batch[at] = replace(batch[at], expect=expect)
        else:
            carriers.append(carrier(len(carriers), expect=expect))
    free = [at for at, message in enumerate(batch) if message.at is None]
    for timer in cancels:
        if free:
            at = free.pop(0)
            batch[at] = replace(batch[at], cancels=timer)
        else:
            carriers.append(carrier(len(carriers), cancels=timer))
    return carriers


def _carrier(
    region: str, family: str, cause: Cause, index: int, *, expect: Expect | None = None, cancels: str | None = None
) -> Outgoing:
    """An empty message that only carries a condition or a cancellation, and is gone after a second."""
    id_ = derive_id(region, cause.id, cause.source, "carrier", index)
    return Outgoing(
        subject=carrier_subject(region, family, id_),
        body=b"",
        id=id_,
        expect=expect,
        cancels=cancels,
        ttl=timedelta(seconds=1),
    )
