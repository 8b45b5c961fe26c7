"""Measurements: what one region measured in the latest minutes: rates, messages pending, and how old the latest is."""

from bisect import bisect_left, bisect_right
from operator import attrgetter

import msgspec

from mesh.event import declaration_of
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshMeasured
from mesh.events.order import PurchaseMarked

KEPT = 630.0
"""Seconds of measurements that are remembered: ten minutes, and what the first rate needs."""
OVER = 2.0
"""Seconds that a rate is taken over: measurements come twice a second, and single events shall not flicker."""
SILENT = 3.0
"""Seconds without a measurement after which a region's figures are no longer called its present."""
_VIEWED = declaration_of(ProductViewed)
_VIEWED_TYPE = f"{_VIEWED.domain}.{_VIEWED.action}"
_MARKED = declaration_of(PurchaseMarked)
_MARKERS = {f"{_MARKED.domain}.{_MARKED.action}"}
"""One for each name of a buyer, stored beside the order: counted with the orders, they would be several of each."""


class _Measured(msgspec.Struct):
    """A measurement: totals that it reports and those known by then, by type; growth by domain; messages pending."""

    at: float
    reported: dict[str, int]
    totals: dict[str, int]
    grown: dict[str, int]
    pending: int


class Measurements:
    """A fold: the same whatever the order and however often measurements are received."""

    def __init__(self) -> None:
        self._measured: list[_Measured] = []
        self.newest: MeshMeasured | None = None
        self._counted: MeshMeasured | None = None

    def add(self, measured: MeshMeasured) -> None:
        """Take up a measurement."""
        if self.newest is None or measured.at > self.newest.at:
            self.newest = measured
        if measured.event_counts and (self._counted is None or measured.at > self._counted.at):
            self._counted = measured
        at, kept = measured.at.timestamp(), self._measured
        place = bisect_left(kept, at, key=attrgetter("at"))
        if place < len(kept) and kept[place].at == at:
            return
        reported = {flow.type: flow.total for flow in measured.event_counts}
        kept.insert(place, _Measured(at, reported, reported, {}, sum(lag.pending for lag in measured.consumers)))
        for index in range(max(place, 1), len(kept)):
            _grow(kept[index - 1], kept[index])
        del kept[: bisect_left(kept, kept[-1].at - KEPT, key=attrgetter("at"))]

    def age(self, now: float) -> float | None:
        """Seconds since the newest measurement was made; None: there is none."""
        return max(0.0, now - self.newest.at.timestamp()) if self.newest else None

    def viewed(self, now: float, within: float) -> int:
        """Products viewed within the hour before they were last counted; 0 when that is longer ago than `within`."""
        counted = self._counted
        if counted is None or now - counted.at.timestamp() > within:
            return 0
        return sum(flow.last_hour for flow in counted.event_counts if flow.type == _VIEWED_TYPE)

    def rates(self, at: float) -> dict[str, float]:
        """Events per second by domain at a moment; empty where nothing was measured around it."""
        place = bisect_right(self._measured, at, key=attrgetter("at")) - 1
        if place < 0 or at - self._measured[place].at > SILENT:
            return {}
        last = self._measured[place]
        if not last.reported:
            return {}
        start = bisect_right(self._measured, last.at - OVER, hi=place, key=attrgetter("at")) - 1
        first = self._measured[max(start, 0)]
        seconds = last.at - first.at
        if seconds <= 0:
            return {}
        return {
            domain: round((grown - first.grown.get(domain, 0)) / seconds, 2) for domain, grown in last.grown.items()
        }

    def pending(self, at: float) -> int | None:
        """Messages that no durable had been given yet at a moment; None where nothing was measured around it."""
        place = bisect_right(self._measured, at, key=attrgetter("at")) - 1
        return None if place < 0 or at - self._measured[place].at > SILENT else self._measured[place].pending


def _grow(before: _Measured, after: _Measured) -> None:
    """Growth up to a measurement. A total that is first reported, or starts again lower, adds nothing this once."""
    after.totals, after.grown = before.totals | after.reported, dict(before.grown)
    for type_, total in after.reported.items():
        if type_ in _MARKERS:
            continue
        domain = type_.partition(".")[0]
        after.grown[domain] = after.grown.get(domain, 0) + max(0, total - before.totals.get(type_, total))
