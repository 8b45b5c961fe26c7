"""Committing: a plan is stored, its batch first and whole, then its singles side by side.

An id that had been stored before counts as stored (`Stored.duplicate`), so calling again with the same cause is
always safe.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from mesh.broker.protocol import Broker, Outgoing, Stored
from mesh.envelope import open_envelope
from mesh.errors import Conflict, Duplicate, InvalidEvent, Unavailable
from mesh.observability import metrics
from mesh.observability.sending import sending
from mesh.publish import Plan

PATIENCE = timedelta(seconds=12)
"""How long a store is retried while JetStream elects a leader (4-8 s were measured after a SIGKILL)."""


async def commit(broker: Broker, made: Plan, *, patience: timedelta = PATIENCE) -> list[Stored]:
    """Store a plan: the place of its batch's last message, if it has a batch, then those of its singles.

    Raises Conflict, Denied, and Unavailable once `patience` is over.
    """
    with reported(broker, made):
        stored = [await store(broker, made.stream, made.batch, patience)] if made.batch else []
        return stored + await store_singles(broker, made.singles, patience)


@contextmanager
def reported(broker: Broker, made: Plan) -> Iterator[None]:
    """The telemetry of storing a plan."""
    stream = made.stream if made.batch or not made.singles else made.singles[0][0]
    with sending(broker.region, stream, len(made.batch) + len(made.singles), made.events):
        yield


async def store(broker: Broker, stream: str, messages: Sequence[Outgoing], patience: timedelta) -> Stored:
    """Store one message, or several in one atomic batch; see `commit`."""

    async def put() -> Stored:
        return await (broker.store(stream, messages[0]) if len(messages) == 1 else broker.store_batch(stream, messages))

    try:
        stored = await until_available(put, stream, patience)
    except Duplicate:
        if len(messages) > 1 and all(_is_independent(message) for message in messages):
            # Drafts with ids of their own, redelivered in a different batch: some of them may be new.
            await asyncio.gather(*(store(broker, stream, [one], patience) for one in messages))
        return Stored(0, duplicate=True)
    except Conflict:
        if await _was_stored(broker, stream, messages):
            return Stored(0, duplicate=True)
        raise
    metrics.PUBLISHED.labels(stream).inc(len(messages))
    return stored


async def store_singles(broker: Broker, singles: Sequence[tuple[str, Outgoing]], patience: timedelta) -> list[Stored]:
    """Store messages that are independent of each other, all on their way at once; their places in the same order."""
    by_stream: dict[str, list[int]] = {}
    for at, (stream, _) in enumerate(singles):
        by_stream.setdefault(stream, []).append(at)
    places: dict[int, Stored] = {}
    for stream, ats in by_stream.items():
        outcomes = await broker.store_each(stream, [singles[at][1] for at in ats])
        stored = {at: one for at, one in zip(ats, outcomes, strict=True) if isinstance(one, Stored)}
        metrics.PUBLISHED.labels(stream).inc(len(stored))
        places |= stored
        failed = [at for at in ats if at not in stored]
        retried = await asyncio.gather(*(store(broker, stream, [singles[at][1]], patience) for at in failed))
        places.update(zip(failed, retried, strict=True))
    return [places[at] for at in range(len(singles))]


async def until_available(put: Callable[[], Awaitable[Stored]], stream: str, patience: timedelta) -> Stored:
    """Call `put` until JetStream answers. Raises what it raises, and Unavailable once `patience` is over."""
    clock = asyncio.get_running_loop().time
    deadline, pause = clock() + patience.total_seconds(), 0.05
    while True:
        try:
            return await put()
        except Unavailable:
            metrics.PUBLISH_RETRIES.labels(stream).inc()
            if clock() + pause > deadline:
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
        pause = min(pause * 2, 1.0)


def _is_independent(message: Outgoing) -> bool:
    return message.expect is None and message.at is None and message.cancels is None


async def _was_stored(broker: Broker, stream: str, messages: Sequence[Outgoing]) -> bool:
    """Whether the commit that now conflicts is our own, whose answer was lost."""
    ours = next((message for message in messages if message.body and not message.at), None)
    newest = await broker.last(stream, ours.subject) if ours else None
    if ours is None or newest is None:
        return False
    try:
        return open_envelope(newest.body).id == open_envelope(ours.body).id
    except InvalidEvent:
        return False
