"""Publishing: changes become a plan, which is the messages that make them true. `mesh.commit` stores a plan.

Ids are derived from the cause, so a retry changes nothing; and from the region, because every region may decide about
the same event, and all meet in the MESH streams.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from mesh.broker.protocol import Expect, Outgoing
from mesh.causation import handled_event
from mesh.envelope import derive_id, encode
from mesh.errors import DeclarationError
from mesh.event import Declaration, Event, declaration_of, key_of
from mesh.history import Unchanged
from mesh.observability import tracing
from mesh.streams import INTERACTION_DOMAINS, stream_of
from mesh.subjects import subject, timer_subject
from mesh.timers import Cancel, Timer

MAX_BATCH = 1000
"""The most messages that the server stores in one commit (ADR-50)."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event whose id, time or trace is known beforehand, such as one that a storefront sent."""

    event: Event
    id: str | None = None
    time: datetime | None = None
    traceparent: str | None = None


Change = Event | Draft | Timer | Cancel | Unchanged


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


def plan(changes: Iterable[Change], *, region: str, cause: Cause) -> Plan:
    """The messages that make `changes` true.

    Conditions and cancellations ride on the messages that change the same subject, else on any that
    is free, else on a short-lived message of their own (subject `witness.<region>.<id>`).
    Raises InvalidKey, and DeclarationError where a condition or timer is not of the commerce stream.
    """
    made, conditions, cancels = Plan(f"COMMERCE_{region}"), {}, []
    for index, change in enumerate(changes):
        match change:
            case Unchanged(kind, key, sequence):
                conditions[subject(region, _atomic(kind), key)] = sequence
            case Cancel(kind, key):
                cancels.append(timer_subject(region, _atomic(kind), key))
            case Timer(event, at):
                made.batch.append(_schedule(event, at, region, cause, index))
            case Draft():
                _add(made, change, region, cause, index)
            case Event():
                _add(made, Draft(event=change), region, cause, index)
            case _:
                raise DeclarationError(f"{cause.source}: {change!r} is no event, Timer, Cancel or Unchanged")
    carriers = _attach(made.batch, conditions, cancels, region, cause)
    if made.batch or made.singles or cancels:
        made.batch[:0] = carriers
    if len(made.batch) > MAX_BATCH:
        raise DeclarationError(f"{cause.source}: {len(made.batch)} messages in one commit; {MAX_BATCH} is the most")
    return made


def _add(made: Plan, draft: Draft, region: str, cause: Cause, index: int) -> None:
    declaration = declaration_of(type(draft.event))
    id_ = draft.id or derive_id(region, cause.id, cause.source, index, declaration.name)
    source = cause.source.partition(".")[0]
    message = Outgoing(
        subject=subject(region, declaration, key_of(draft.event)),
        body=encode(
            draft.event,
            id=id_,
            region=region,
            source=source,
            time=draft.time,
            traceparent=draft.traceparent or cause.traceparent,
            cause=cause.event if cause.event != id_ else None,
        ),
        id=id_,
        ttl=declaration.ttl,
    )
    made.events[source, declaration.type, getattr(draft.event, "outcome", "")] += 1
    if _is_atomic(declaration):
        made.batch.append(message)
    else:
        made.singles.append((stream_of(declaration, region), message))


def _schedule(event: Event, at: datetime, region: str, cause: Cause, index: int) -> Outgoing:
    declaration = _atomic(type(event))
    id_ = derive_id(region, cause.id, cause.source, index, declaration.name)
    source = cause.source.partition(".")[0]
    return Outgoing(
        subject=timer_subject(region, declaration, key_of(event)),
        target=subject(region, declaration, key_of(event)),
        body=encode(
            event, id=id_, region=region, source=source, time=at, traceparent=cause.traceparent, cause=cause.event
        ),
        id=f"{id_}.timer",
        at=at,
    )


def _attach(
    batch: list[Outgoing], conditions: dict[str, int], cancels: list[str], region: str, cause: Cause
) -> list[Outgoing]:
    """Put conditions and cancellations on the batch's messages; returns messages for those that found no place."""
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
            carriers.append(_carrier(region, cause, len(carriers), expect=expect))
    free = [at for at, message in enumerate(batch) if message.at is None]
    for timer in cancels:
        if free:
            at = free.pop(0)
            batch[at] = replace(batch[at], cancels=timer)
        else:
            carriers.append(_carrier(region, cause, len(carriers), cancels=timer))
    return carriers


def _carrier(
    region: str, cause: Cause, index: int, *, expect: Expect | None = None, cancels: str | None = None
) -> Outgoing:
    """An empty message that only carries a condition or a cancellation, and is gone after a second."""
    id_ = derive_id(region, cause.id, cause.source, "witness", index)
    return Outgoing(
        subject=f"witness.{region}.{id_}", body=b"", id=id_, expect=expect, cancels=cancels, ttl=timedelta(seconds=1)
    )


def _is_atomic(declaration: Declaration) -> bool:
    return declaration.personal or declaration.domain not in INTERACTION_DOMAINS


def _atomic(kind: type[Event]) -> Declaration:
    declaration = declaration_of(kind)
    if not _is_atomic(declaration):
        raise DeclarationError(
            f"{declaration.type}: only events of the commerce stream can be scheduled or expected unchanged"
        )
    return declaration
