"""Event counts: how many events of each type a region takes, as its streams count them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

from mesh.broker.protocol import Broker, ConsumerState, StreamState
from mesh.errors import Unavailable
from mesh.events.mesh import EventCount
from mesh.observability.event_counts import EventCounter
from services.operations.watch.past import HOUR, Past

KEPT = timedelta(hours=25)
"""How long a count goes on; then the stream ends it and another begins. Shorter than any stream keeps its messages."""
LOST_AFTER = 5.0
"""Seconds without an answer of a counter after which it is created again: the server that kept it is down."""
ASKED_EVERY = 30.0
"""Seconds after which also the counts of a stream that took nothing are asked: a server may have lost one."""
SLICES = 6
"""In how many parts the hour before a count began is looked at; within a part events count as evenly spread."""
_TRIES = 5


class EventCounts:
    """Every replica finds the same counts by their names, and whoever comes first begins one that is not there.

    Nothing is read or delivered, so a region that takes more costs no more, and of a stream that took nothing no count
    is asked. Only a count that begins, and a process that starts, asks what the stream took in the hour before.
    """

    def __init__(self, broker: Broker, counters: Sequence[EventCounter]) -> None:
        self._broker, self._counters = broker, counters
        self._streams: dict[str, list[EventCounter]] = {}
        for counter in counters:
            self._streams.setdefault(counter.stream, []).append(counter)
        self._asked: dict[str, tuple[int, float]] = {}
        self._absent: dict[str, float] = {}
        self._begun: dict[str, datetime] = {}
        self._pasts: dict[str, Past] = {}
        self._totals: dict[str, int] = {}

    async def read(self) -> tuple[EventCount, ...]:
        """What every count stands at; one that is silent just now, where it stood. Raises Denied, Unavailable."""
        moved = await self._moved()
        states, now = await self._states(moved), datetime.now(UTC).timestamp()
        taken = [self._take(one, states.get(one.name), now) for stream in moved for one in self._streams[stream]]
        for failed in await asyncio.gather(*taken, return_exceptions=True):
            if failed is not None and not isinstance(failed, Unavailable):  # a stream's election hides no other stream
                raise failed
        return tuple(
            EventCount(type=counter.type, total=total, last_hour=self._pasts[counter.type].hour(now, total))
            for counter in self._counters
            if (total := self._totals.get(counter.type)) is not None
        )

    async def _moved(self) -> list[str]:
        """The streams that took something since they were asked, and those that were not asked for long."""
        now, moved = monotonic(), []
        states = await asyncio.gather(*map(self._broker.stream_state, self._streams), return_exceptions=True)
        failed = [state for state in states if isinstance(state, BaseException)]
        for error in failed:
            if len(failed) == len(states) or not isinstance(error, Unavailable):
                raise error
        for stream, state in zip(self._streams, states, strict=True):
            if isinstance(state, StreamState) and self._is_to_be_asked(stream, state.last, now):
                self._asked[stream] = state.last, now
                moved.append(stream)
        return moved

    def _is_to_be_asked(self, stream: str, last: int, now: float) -> bool:
        before, asked = self._asked.get(stream, (-1, now))
        counters = self._streams[stream]
        is_complete = all(one.type in self._totals and one.name not in self._absent for one in counters)
        return last != before or now - asked > ASKED_EVERY or not is_complete

    async def _states(self, streams: Sequence[str]) -> dict[str, ConsumerState]:
        asked = (
            self._broker.consumer_states(stream, [counter.name for counter in self._streams[stream]])
            for stream in streams
        )
        return {name: state for reported in await asyncio.gather(*asked) for name, state in reported.items()}

    async def _take(self, counter: EventCounter, state: ConsumerState | None, now: float) -> None:
        if state is None:
            await self._miss(counter, now)
            return
        self._absent.pop(counter.name, None)
        total, known = state.pending, self._totals.get(counter.type)
        if known is None or total < known or self._begun[counter.type] != state.begun:
            total, self._pasts[counter.type] = await self._look_back(counter, total)
            self._begun[counter.type] = state.begun
        self._totals[counter.type] = total

    async def _miss(self, counter: EventCounter, now: float) -> None:
        """Begin a count that is not there; one that was may only be silent, and is given up after a while."""
        first = counter.name not in self._absent
        since = self._absent.setdefault(counter.name, now)
        is_lost = now - since >= LOST_AFTER
        if is_lost:
            self._absent[counter.name] = now
            with suppress(Unavailable):  # the server that would answer is the one that is down
                await self._broker.delete_event_counter(counter.stream, counter.name)
        if is_lost or (first and counter.type not in self._totals):
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
