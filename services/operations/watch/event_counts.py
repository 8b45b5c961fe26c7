"""Event counts: how many events of each type a region takes, as its streams count them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mesh.broker.protocol import Broker, ConsumerState
from mesh.errors import Unavailable
from mesh.events.mesh import EventCount
from mesh.observability.event_counts import EventCounter
from services.operations.watch.past import HOUR, Past

KEPT = timedelta(hours=25)
"""How long a count goes on; then the stream ends it and another begins. Shorter than any stream keeps its messages."""
LOST_AFTER = 5.0
"""Seconds without an answer of a counter after which it is created again: the server that kept it is down."""
SLICES = 6
"""In how many parts the hour before a count began is looked at; within a part events count as evenly spread."""
_TRIES = 5


class EventCounts:
    """Every replica finds the same counts by their names, and whoever comes first begins one that is not there.

    Nothing is read or delivered, so a region that takes more costs no more. Only a count that begins, and a
    process that starts, asks what the stream took in the hour before.
    """

    def __init__(self, broker: Broker, counters: Sequence[EventCounter]) -> None:
        self._broker, self._counters = broker, counters
        self._streams: dict[str, list[EventCounter]] = {}
        for counter in counters:
            self._streams.setdefault(counter.stream, []).append(counter)
        self._absent: dict[str, float] = {}
        self._begun: dict[str, datetime] = {}
        self._pasts: dict[str, Past] = {}
        self._event_counts: dict[str, EventCount] = {}

    async def read(self) -> tuple[EventCount, ...]:
        """What every count stands at; one that is silent just now, where it stood. Raises Denied, Unavailable."""
        states, now = await self._states(), datetime.now(UTC).timestamp()
        taken = (self._take(counter, states.get(counter.name), now) for counter in self._counters)
        for failed in await asyncio.gather(*taken, return_exceptions=True):
            if failed is not None and not isinstance(failed, Unavailable):  # a stream's election hides no other stream
                raise failed
        return tuple(
            self._event_counts[counter.type] for counter in self._counters if counter.type in self._event_counts
        )

    async def _states(self) -> dict[str, ConsumerState]:
        asked = (
            self._broker.consumer_states(stream, [counter.name for counter in counters])
            for stream, counters in self._streams.items()
        )
        return {name: state for reported in await asyncio.gather(*asked) for name, state in reported.items()}

    async def _take(self, counter: EventCounter, state: ConsumerState | None, now: float) -> None:
        if state is None:
            await self._miss(counter, now)
            return
        self._absent.pop(counter.name, None)
        total, known = state.pending, self._event_counts.get(counter.type)
        if known is None or total < known.total or self._begun[counter.type] != state.begun:
            total, self._pasts[counter.type] = await self._look_back(counter, total)
            self._begun[counter.type] = state.begun
        hour = self._pasts[counter.type].hour(now, total)
        self._event_counts[counter.type] = EventCount(type=counter.type, total=total, last_hour=hour)

    async def _miss(self, counter: EventCounter, now: float) -> None:
        """Begin a count that is not there; one that was may only be silent, and is given up after a while."""
        first = counter.name not in self._absent
        since = self._absent.setdefault(counter.name, now)
        is_lost = now - since >= LOST_AFTER
        if is_lost:
            self._absent[counter.name] = now
            with suppress(Unavailable):  # the server that would answer is the one that is down
                await self._broker.delete_event_counter(counter.stream, counter.name)
        if is_lost or (first and counter.type not in self._event_counts):
            await self._broker.create_event_counter(counter.stream, counter.name, counter.subject, KEPT)

    async def _look_back(self, counter: EventCounter, total: int) -> tuple[int, Past]:
        """A count's total and the hour before it, asked of the stream's messages."""
        for _ in range(_TRIES):  # until nothing came between: what counts twice would stay for an hour
            now = datetime.now(UTC)
            moments = [(now.timestamp() - HOUR, total - await self._stored(counter, now, HOUR))]
            if moments[0][1] < total:
                parts = [HOUR * part / SLICES for part in range(SLICES - 1, 0, -1)]
                moments += [(now.timestamp() - part, total - await self._stored(counter, now, part)) for part in parts]
            again = (await self._broker.consumer_states(counter.stream, [counter.name])).get(counter.name)
            if again is None or again.pending == total:
                break
            total = again.pending
        return total, Past([*moments, (now.timestamp(), total)])

    async def _stored(self, counter: EventCounter, now: datetime, seconds: float) -> int:
        return await self._broker.count(counter.stream, counter.subject, now - timedelta(seconds=seconds))
