"""Regions: what each reports, how old its newest report is, and which do not report any more."""

from collections.abc import Mapping
from datetime import datetime

from mesh.events.mesh import MeshMeasured
from services.operations.board.funnel import HOUR
from services.operations.board.measurements import SILENT, Measurements
from services.operations.board.state import LinkShown, Past, RegionShown

MINUTES = 600


class Regions:
    """All regions of the mesh as one of them, `here`, receives their reports; `zones` are their time zones by name."""

    def __init__(self, here: str, names: tuple[str, ...], zones: Mapping[str, str]) -> None:
        self.here, self._zones = here, zones
        self._measurements = {name: Measurements() for name in names}

    def add(self, measured: MeshMeasured) -> None:
        """Take up a measurement; regions that this one does not know have none."""
        if measurements := self._measurements.get(measured.region):
            measurements.add(measured)

    def shown(self, now: datetime) -> tuple[RegionShown, ...]:
        """Each region; one that has not reported yet has nothing but its name."""
        return tuple(self._region(name, measured, now.timestamp()) for name, measured in self._measurements.items())

    def links(self, now: datetime) -> tuple[LinkShown, ...]:
        """Both directions of each pair of regions."""
        return tuple(
            LinkShown(reader=reader, reported=reported, staleness=self._staleness(reader, reported, now.timestamp()))
            for reader in self._measurements
            for reported in self._measurements
            if reader != reported
        )

    def viewed(self, now: datetime) -> int:
        """Products viewed within the last hour, all regions together."""
        return sum(measurements.viewed(now.timestamp(), HOUR) for measurements in self._measurements.values())

    def past(self, now: datetime) -> Past:
        """The newest ten minutes, second by second."""
        end = int(now.timestamp())
        at = tuple(range(end - MINUTES + 1, end + 1))
        rates: dict[str, dict[str, tuple[float | None, ...]]] = {}
        for name, measured in self._measurements.items():
            moments = [measured.rates(moment) for moment in at]
            domains = sorted({domain for rated in moments for domain in rated})
            rates[name] = {domain: tuple(rated.get(domain) for rated in moments) for domain in domains}
        pending = {
            name: tuple(measured.pending(moment) for moment in at) for name, measured in self._measurements.items()
        }
        return Past(step=1.0, at=at, rates=rates, pending=pending)

    def problems(self, now: datetime) -> list[str]:
        """Which regions' figures are old or missing, as sentences."""
        found = []
        for name, measured in self._measurements.items():
            age = measured.age(now.timestamp())
            if measured.newest is None or age is None:
                found.append(f"{name} has not reported yet")
            elif age > SILENT:
                found.append(
                    f"{name} has not reported for {age:.0f} s: its figures are of {measured.newest.at:%H:%M:%S} UTC"
                )
            elif not measured.newest.event_counts:
                found.append(f"{name} cannot count its events")
            elif not measured.newest.consumers:
                found.append(f"{name} does not report how far its consumers are")
        return found

    def _region(self, name: str, measurements: Measurements, now: float) -> RegionShown:
        newest = measurements.newest
        return RegionShown(
            name=name,
            time_zone=self._zones.get(name, "UTC"),
            measured_ago=_rounded(measurements.age(now)),
            nodes=newest.nodes if newest else 0,
            nodes_up=newest.nodes_up if newest else 0,
            rates=measurements.rates(now),
            consumers=newest.consumers if newest else (),
            dead_letters=newest.dead_letters if newest else 0,
        )

    def _staleness(self, reader: str, reported: str, now: float) -> float | None:
        """Age of the latest report of `reported` in `reader`.

        Here it is whatever is newer: the heartbeat that was measured, or a measurement that has come from there. What
        another region reads is known only for as long as that region itself reports.
        """
        measurements = self._measurements[reader]
        age = measurements.age(now)
        measured = measurements.newest.staleness.get(reported) if measurements.newest else None
        if reader != self.here:
            return _rounded(measured) if age is not None and age <= SILENT else None
        ages = [measured + age] if measured is not None and age is not None else []
        if (since := self._measurements[reported].age(now)) is not None:
            ages.append(since)
        return _rounded(min(ages, default=None))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
