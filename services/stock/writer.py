"""Writer: reads levels and reservations, has them decided, and commits; again, where somebody was quicker.

One process decides one commit after the other, so it never disturbs itself. Several processes of a region exclude each
other by the conditions of their commits; of those that meet, one always succeeds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from mesh import Mesh, Received, Unchanged
from mesh.envelope import derive_id
from mesh.errors import Conflict, Unavailable
from mesh.event import Event, key_of
from mesh.events.stock import StockLevelChanged, StockReservationChanged, StockReservationRequested, StockSaleRequested
from mesh.observability import tracing
from mesh.publish import MAX_BATCH, Cause, Change
from mesh.timers import Cancel
from services.stock.borrowing import Borrowing
from services.stock.requests import Asked, Request, asked, problem_of, summed
from services.stock.reservations import decide
from services.stock.stock_settings import StockSettings
from services.stock.working_copy import Known, WorkingCopy

E = TypeVar("E", bound=Event)
TRIES = 25
"""How often a commit is decided again because another process was quicker."""
REMEMBERED = 10_000
"""The most levels that are remembered as this process has stored them."""


class StockWriter:
    """The one way in which a process changes its region's stock."""

    def __init__(self, mesh: Mesh, settings: StockSettings) -> None:
        self.mesh, self.settings = mesh, settings
        self._turn = asyncio.Lock()
        self._stored: dict[str, Known[StockLevelChanged]] = {}
        """Levels as they were stored here: a server that is read from may not have them yet."""

    async def decide(self, requests: Sequence[Received[Request]]) -> None:
        """Decide requests in their order, as many in one commit as it holds. Raises Unavailable."""
        chunk: dict[str, Received[Request]] = {}
        for request in requests:
            if request.event.order_id in chunk:  # an order's state changes once in a commit
                await self._decide(list(chunk.values()))
                chunk = {}
            chunk[request.event.order_id] = request
        if chunk:
            await self._decide(list(chunk.values()))

    async def _decide(self, requests: list[Received[Request]]) -> None:
        cause = self.cause("decide-requests", *(request.id for request in requests))

        async def decided(careful: bool) -> WorkingCopy | None:
            return await self._decided(requests, careful=careful)

        if not await self.commit(decided, cause):
            half = len(requests) // 2
            await self._decide(requests[:half])
            await self._decide(requests[half:])

    async def commit(self, make: Callable[[bool], Awaitable[WorkingCopy | None]], cause: Cause) -> bool:
        """Commit what `make` makes; on a conflict call it again with True: the leader must be read.

        False where it is more than one commit holds. Raises what `make` raises, and Unavailable.
        """
        async with self._turn:
            for turn in range(TRIES):
                copy = await make(turn > 0)
                changes = list(copy.changes(self.settings.stock_low_at)) if copy else []
                if copy is None or not changes:
                    return True
                if _messages(changes) > MAX_BATCH:
                    return False
                try:
                    stored = await self.mesh.commit(changes, cause)
                except Conflict:
                    await asyncio.sleep(random.uniform(0, 0.002 * (turn + 1)))  # noqa: S311  jitter, not a secret
                    continue
                self._remember(copy.changed_levels, 0 if stored[0].duplicate else stored[0].sequence)
                return True
        raise Unavailable(f"the stock of {cause.source} was changed by others {TRIES} times in a row")

    def cause(self, handler: str, *ids: str) -> Cause:
        """Why something is committed: the event that is handled, or several."""
        source, trace = f"{self.mesh.service}.{handler}", tracing.current_context()
        if len(ids) == 1:
            return Cause(id=ids[0], source=source, traceparent=trace, event=ids[0])
        return Cause(id=derive_id(*ids), source=source, traceparent=trace)

    async def newest(self, kind: type[E], keys: Iterable[str], *, careful: bool) -> dict[str, Known[E]]:
        """The newest event of each key; read from the leader where it must not be outdated."""
        wanted = list(dict.fromkeys(keys))
        if careful:
            found = await asyncio.gather(*(self.mesh.last(kind, key) for key in wanted))
            return {key: Known(one.event, one.sequence) for key, one in zip(wanted, found, strict=True) if one}
        read = await self.mesh.last_of_each(kind, wanted)
        return {key: Known(one.event, one.sequence) for key, one in read.items()}

    async def levels(self, skus: Iterable[str], *, careful: bool) -> dict[str, Known[StockLevelChanged]]:
        """The newest levels, none older than what this process has stored."""
        wanted = list(dict.fromkeys(skus))
        found = await self.newest(StockLevelChanged, wanted, careful=careful)
        for sku in wanted:
            stored, read = self._stored.get(sku), found.get(sku)
            if stored and (read is None or read.sequence < stored.sequence):
                found[sku] = stored
        return found

    async def _decided(self, requests: list[Received[Request]], *, careful: bool) -> WorkingCopy:
        orders = [request.event.order_id for request in requests]
        reservations = await self.newest(StockReservationChanged, orders, careful=careful)
        unknown = [
            request.event.order_id
            for request in requests
            if isinstance(request.event, StockSaleRequested) and request.event.order_id not in reservations
        ]
        found = await asyncio.gather(*(self.mesh.last(StockReservationRequested, order_id) for order_id in unknown))
        requested = {one.event.order_id: asked(one.event, one) for one in found if one}
        units = _units(requests, reservations, requested)
        levels = await self.levels(units, careful=careful)
        short = [sku for sku in units if sku not in levels or levels[sku].event.available < units[sku]]
        if not careful:  # nobody is refused by what was true a moment ago
            levels |= await self.levels(short, careful=True)
        copy = WorkingCopy(levels, reservations)
        borrowing = Borrowing(self.mesh.region, datetime.now(UTC), self.settings, await self._others(short))
        for request in requests:
            decide(request, copy, borrowing, requested.get(request.event.order_id))
        borrowing.request(copy)
        return copy

    async def _others(self, skus: list[str]) -> dict[str, dict[str, int]]:
        """SKU -> other region -> units that it could sell, by the newest levels that have arrived here."""
        found: dict[str, dict[str, int]] = {}
        for region in self.mesh.others if skus else ():
            for sku, level in (await self.mesh.last_of_each(StockLevelChanged, skus, region=region)).items():
                found.setdefault(sku, {})[region] = level.event.available
        return found

    def _remember(self, levels: list[StockLevelChanged], last: int) -> None:
        """The last messages of a commit are its levels."""
        for behind, level in enumerate(reversed(levels)):
            self._stored.pop(key_of(level), None)
            if last:
                self._stored[level.sku] = Known(level, last - behind)
        while len(self._stored) > REMEMBERED:
            del self._stored[next(iter(self._stored))]


def _units(
    requests: list[Received[Request]],
    reservations: dict[str, Known[StockReservationChanged]],
    requested: dict[str, Asked],
) -> dict[str, int]:
    """The units of each SKU that requests are about; nothing of a request that is wrong."""
    units: dict[str, int] = {}
    for request in requests:
        order_id = request.event.order_id
        lines = getattr(request.event, "lines", ())
        if not lines and (state := reservations.get(order_id)):
            lines = state.event.lines
        elif not lines and (earlier := requested.get(order_id)):
            lines = earlier.lines
        for line in summed(lines) if not problem_of(lines) else ():
            units[line.sku] = units.get(line.sku, 0) + line.quantity
    return units


def _messages(changes: list[Change]) -> int:
    return sum(1 for change in changes if not isinstance(change, Unchanged | Cancel))
