"""Publishing: changes become messages, messages are stored once, in one commit where they belong together.

What the books (`COMMERCE`) are told in one go is one atomic batch (ADR-50). Interactions are many and
independent: each is stored by itself. Ids are derived from the cause, so a retry changes nothing; and from the region,
because every region may decide about the same event, and all meet in the MESH streams.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from mesh.broker.protocol import Broker, Expect, Outgoing, Stored
from mesh.envelope import derive_id, encode, open_envelope
from mesh.errors import Conflict, DeclarationError, Duplicate, InvalidEvent, Unavailable
from mesh.event import Declaration, Event, declaration_of, key_of
from mesh.history import Unchanged
from mesh.observability import metrics, tracing
from mesh.streams import INTERACTION_DOMAINS, stream_of
from mesh.subjects import subject, timer_subject
from mesh.timers import Cancel, Timer

MAX_BATCH = 1000
PATIENCE = timedelta(seconds=12)
"""How long a store is retried while JetStream elects a leader (4-8 s were measured after a SIGKILL)."""


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


@dataclass
class Plan:
    """Changes as messages per stream: the books are one commit, interactions are stored each by itself."""

    books: list[Outgoing] = field(default_factory=list)
    single: list[tuple[str, Outgoing]] = field(default_factory=list)
    said: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """How many events there are of a service, wire type and outcome."""


def plan(changes: Iterable[Change], *, region: str, cause: Cause) -> Plan:
    """The messages that make `changes` true.

    Conditions and cancellations ride on the messages that change the same subject, else on any that
    is free, else on a short-lived `witness` message of their own.
    Raises InvalidKey, and DeclarationError where conditions or timers are not of the books.
    """
    made, conditions, cancels = Plan(), {}, []
    for index, change in enumerate(changes):
        match change:
            case Unchanged(kind, key, sequence):
                conditions[subject(region, _of_the_books(kind), key)] = sequence
            case Cancel(kind, key):
                cancels.append(timer_subject(region, _of_the_books(kind), key))
            case Timer(event, at):
                made.books.append(_schedule(event, at, region, cause, index))
            case Draft():
                _add(made, change, region, cause, index)
            case Event():
                _add(made, Draft(event=change), region, cause, index)
            case _:
                raise DeclarationError(f"{cause.source}: {change!r} is no event, Timer, Cancel or Unchanged")
    witnesses = _attach(made.books, conditions, cancels, region, cause)
    if made.books or made.single or cancels:
        made.books[:0] = witnesses
    if len(made.books) > MAX_BATCH:
        raise DeclarationError(f"{cause.source}: {len(made.books)} messages in one commit; {MAX_BATCH} is the most")
    return made


async def commit(broker: Broker, made: Plan, *, books: str, patience: timedelta = PATIENCE) -> list[Stored]:
    """Store a plan: the books first and whole, then the interactions side by side.

    An id that had been stored before counts as stored (`duplicate`). Raises Conflict, Denied, and
    Unavailable once `patience` is over; calling again with the same cause is always safe.
    """
    work = tracing.current()
    if work is None or not tracing.wants(work.trace) or not (made.books or made.single):
        return await _commit(broker, made, books, patience)
    stream = books if made.books else made.single[0][0]
    told: dict[str, str | int] = {
        "messaging.system": "nats",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": stream,
        "messaging.batch.message_count": len(made.books) + len(made.single),
        "cartmesh.region": broker.region,
    }
    with tracing.span(f"send {stream.partition('_')[0]}", "client", attributes=told):
        return await _commit(broker, made, books, patience)


async def _commit(broker: Broker, made: Plan, books: str, patience: timedelta) -> list[Stored]:
    stored = await _store(broker, made, books, patience)
    for labels, count in made.said.items():
        metrics.EVENTS.labels(*labels).inc(count)
    return stored


async def _store(broker: Broker, made: Plan, books: str, patience: timedelta) -> list[Stored]:
    stored = []
    if made.books:
        stored.append(await _patiently(broker, books, made.books, patience))
    if len(made.single) == 1:
        ((stream, message),) = made.single
        stored.append(await _patiently(broker, stream, [message], patience))
    elif made.single:
        by_stream: dict[str, list[Outgoing]] = {}
        for stream, message in made.single:
            by_stream.setdefault(stream, []).append(message)
        for stream, messages in by_stream.items():
            stored += await _side_by_side(broker, stream, messages, patience)
    return stored


async def _side_by_side(broker: Broker, stream: str, messages: Sequence[Outgoing], patience: timedelta) -> list[Stored]:
    outcomes = await broker.store_each(stream, messages)
    found = dict(enumerate(outcomes))
    again = [at for at, outcome in found.items() if not isinstance(outcome, Stored)]
    metrics.PUBLISHED.labels(stream).inc(len(found) - len(again))
    retried = await asyncio.gather(*(_patiently(broker, stream, [messages[at]], patience) for at in again))
    found.update(zip(again, retried, strict=True))
    return [one for one in found.values() if isinstance(one, Stored)]


async def _patiently(broker: Broker, stream: str, messages: Sequence[Outgoing], patience: timedelta) -> Stored:
    clock = asyncio.get_running_loop().time
    deadline, pause = clock() + patience.total_seconds(), 0.05
    while True:
        try:
            if len(messages) == 1:
                stored = await broker.store(stream, messages[0])
            else:
                stored = await broker.store_batch(stream, messages)
        except Duplicate:
            if len(messages) > 1 and all(_stands_alone(message) for message in messages):
                # Drafts of several causes, delivered again in another company: some of them may be new.
                await asyncio.gather(*(_patiently(broker, stream, [one], patience) for one in messages))
            return Stored(0, duplicate=True)
        except Conflict:
            if await _was_stored(broker, stream, messages):
                return Stored(0, duplicate=True)
            raise
        except Unavailable:
            metrics.PUBLISH_RETRIES.labels(stream).inc()
            if clock() + pause > deadline:
                raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
            pause = min(pause * 2, 1.0)
        else:
            metrics.PUBLISHED.labels(stream).inc(len(messages))
            return stored


def _stands_alone(message: Outgoing) -> bool:
    return message.expect is None and message.at is None and message.cancels is None


async def _was_stored(broker: Broker, stream: str, messages: Sequence[Outgoing]) -> bool:
    """Whether the commit that now conflicts is our own, whose answer was lost."""
    told = next((message for message in messages if message.body and not message.at), None)  # no witness, no timer
    newest = await broker.last(stream, told.subject) if told else None
    if told is None or newest is None:
        return False
    try:
        return open_envelope(newest.body).id == open_envelope(told.body).id
    except InvalidEvent:
        return False


def _add(made: Plan, draft: Draft, region: str, cause: Cause, index: int) -> None:
    declaration = declaration_of(type(draft.event))
    id_ = draft.id or derive_id(region, cause.id, cause.source, index, declaration.type)
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
    said = source, declaration.type, getattr(draft.event, "outcome", "")
    made.said[said] = made.said.get(said, 0) + 1
    if _is_of_the_books(declaration):
        made.books.append(message)
    else:
        made.single.append((stream_of(declaration, region), message))


def _schedule(event: Event, at: datetime, region: str, cause: Cause, index: int) -> Outgoing:
    declaration = _of_the_books(type(event))
    id_ = derive_id(region, cause.id, cause.source, index, declaration.type)
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
    books: list[Outgoing], conditions: dict[str, int], cancels: list[str], region: str, cause: Cause
) -> list[Outgoing]:
    for at, message in enumerate(books):
        if message.subject in conditions:
            books[at] = replace(
                message, expect=Expect(subject=message.subject, sequence=conditions.pop(message.subject))
            )
    free = [at for at, message in enumerate(books) if message.expect is None]
    witnesses: list[Outgoing] = []
    for watched, sequence in conditions.items():
        expect = Expect(subject=watched, sequence=sequence)
        if free:
            at = free.pop(0)
            books[at] = replace(books[at], expect=expect)
        else:
            witnesses.append(_witness(region, cause, len(witnesses), expect=expect))
    free = [at for at, message in enumerate(books) if message.at is None]
    for timer in cancels:
        if free:
            at = free.pop(0)
            books[at] = replace(books[at], cancels=timer)
        else:
            witnesses.append(_witness(region, cause, len(witnesses), cancels=timer))
    return witnesses


def _witness(
    region: str, cause: Cause, index: int, *, expect: Expect | None = None, cancels: str | None = None
) -> Outgoing:
    id_ = derive_id(region, cause.id, cause.source, "witness", index)
    return Outgoing(
        subject=f"witness.{region}.{id_}", body=b"", id=id_, expect=expect, cancels=cancels, ttl=timedelta(seconds=1)
    )


def _is_of_the_books(declaration: Declaration) -> bool:
    return declaration.personal or declaration.domain not in INTERACTION_DOMAINS


def _of_the_books(kind: type[Event]) -> Declaration:
    declaration = declaration_of(kind)
    if not _is_of_the_books(declaration):
        raise DeclarationError(f"{declaration.type}: only events of the books can be scheduled or expected unchanged")
    return declaration


def anew(source: str, traceparent: str | None = None) -> Cause:
    """A cause of its own, for what follows from nothing that has an id; told as a part of the work at hand."""
    work = tracing.current()
    event, trace = (work.event, work.trace) if work else (None, None)
    return Cause(id=uuid4().hex, source=source, traceparent=traceparent or trace, event=event)
