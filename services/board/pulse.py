"""Pulse: one region's measurements of the newest minutes: rates, what is pending, how old its word is."""

from bisect import bisect_left, bisect_right
from operator import attrgetter

import msgspec

from mesh.event import declaration
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshMeasured

KEPT = 630.0
"""Seconds of measurements that are remembered: ten minutes, and what the first rate needs."""
OVER = 2.0
"""Seconds that a rate is taken over: measurements come twice a second, and single events shall not flicker."""
SILENT = 3.0
"""Seconds without a measurement after which a region's figures are no longer called its present."""
_VIEWED = declaration(ProductViewed)


class _Beat(msgspec.Struct):
    """A measurement: totals by type, their growth by domain since the oldest one kept, messages pending."""

    at: float
    totals: dict[str, int]
    grown: dict[str, int]
    pending: int


class Pulse:
    """A fold: the same whatever the order and however often measurements are heard."""

    def __init__(self) -> None:
        self._beats: list[_Beat] = []
        self.newest: MeshMeasured | None = None

    def hear(self, measured: MeshMeasured) -> None:
        """Take up a measurement."""
        if self.newest is None or measured.at > self.newest.at:
            self.newest = measured
        at, beats = measured.at.timestamp(), self._beats
        place = bisect_left(beats, at, key=attrgetter("at"))
        if place < len(beats) and beats[place].at == at:
            return
        totals = {flow.type: flow.total for flow in measured.flows}
        beats.insert(place, _Beat(at, totals, {}, sum(lag.pending for lag in measured.lags)))
        for index in range(max(place, 1), len(beats)):
            beats[index].grown = _grown(beats[index - 1], beats[index])
        del beats[: bisect_left(beats, beats[-1].at - KEPT, key=attrgetter("at"))]

    def age(self, now: float) -> float | None:
        """Seconds since the newest measurement was made; None: there is none."""
        return max(0.0, now - self.newest.at.timestamp()) if self.newest else None

    def viewed(self, now: float, within: float) -> int:
        """Products viewed within the hour before the newest measurement; 0 when that is older than `within`."""
        age = self.age(now)
        if self.newest is None or age is None or age > within:
            return 0
        told = f"{_VIEWED.domain}.{_VIEWED.happening}"
        return sum(flow.hour for flow in self.newest.flows if flow.type.startswith(told))

    def rates(self, at: float) -> dict[str, float]:
        """Events per second by domain at a moment; empty where nothing was measured around it."""
        place = bisect_right(self._beats, at, key=attrgetter("at")) - 1
        if place < 0 or at - self._beats[place].at > SILENT:
            return {}
        last = self._beats[place]
        start = bisect_right(self._beats, last.at - OVER, hi=place, key=attrgetter("at")) - 1
        first = self._beats[max(start, 0)]
        seconds = last.at - first.at
        if seconds <= 0:
            return {}
        return {
            domain: round((grown - first.grown.get(domain, 0)) / seconds, 2) for domain, grown in last.grown.items()
        }

    def pending(self, at: float) -> int | None:
        """Messages that no durable had been given yet at a moment; None where nothing was measured around it."""
        place = bisect_right(self._beats, at, key=attrgetter("at")) - 1
        return None if place < 0 or at - self._beats[place].at > SILENT else self._beats[place].pending


def _grown(before: _Beat, beat: _Beat) -> dict[str, int]:
    """Growth by domain up to a measurement. A total that begins anew lower adds nothing this once."""
    grown = dict(before.grown)
    for type_, total in beat.totals.items():
        domain = type_.partition(".")[0]
        grown[domain] = grown.get(domain, 0) + max(0, total - before.totals.get(type_, 0))
    return grown
