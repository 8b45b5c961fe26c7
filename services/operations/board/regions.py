"""Regions: what each reports, how old its newest report is, and which do not report any more."""

from collections.abc import Mapping
from datetime import datetime

from mesh.events.mesh import MeshMeasured
from services.operations.board.funnel import HOUR
from services.operations.board.picture import LinkShown, Past, RegionShown
from services.operations.board.pulse import SILENT, Pulse

MINUTES = 600


class Regions:
    """All regions of the mesh as one of them, `here`, hears them; `zones` are their time zones by name."""

    def __init__(self, here: str, names: tuple[str, ...], zones: Mapping[str, str]) -> None:
        self.here, self._zones = here, zones
        self._pulses = {name: Pulse() for name in names}

    def hear(self, measured: MeshMeasured) -> None:
        """Take up a measurement; regions that this one does not know have none."""
        if pulse := self._pulses.get(measured.region):
            pulse.hear(measured)

    def shown(self, now: datetime) -> tuple[RegionShown, ...]:
        """Each region; one that has not been heard yet has nothing but its name."""
        return tuple(self._region(name, pulse, now.timestamp()) for name, pulse in self._pulses.items())

    def links(self, now: datetime) -> tuple[LinkShown, ...]:
        """Both directions of each pair of regions."""
        return tuple(
            LinkShown(reader=reader, told=told, staleness=_rounded(self._staleness(reader, told, now.timestamp())))
            for reader in self._pulses
            for told in self._pulses
            if reader != told
        )

    def viewed(self, now: datetime) -> int:
        """Products viewed within the last hour, all regions together."""
        return sum(pulse.viewed(now.timestamp(), HOUR) for pulse in self._pulses.values())

    def past(self, now: datetime) -> Past:
        """The newest ten minutes, second by second."""
        end = int(now.timestamp())
        at = tuple(range(end - MINUTES + 1, end + 1))
        rates: dict[str, dict[str, tuple[float | None, ...]]] = {}
        for name, pulse in self._pulses.items():
            moments = [pulse.rates(moment) for moment in at]
            domains = sorted({domain for rated in moments for domain in rated})
            rates[name] = {domain: tuple(rated.get(domain) for rated in moments) for domain in domains}
        pending = {name: tuple(pulse.pending(moment) for moment in at) for name, pulse in self._pulses.items()}
        return Past(step=1.0, at=at, rates=rates, pending=pending)

    def doubts(self, now: datetime) -> list[str]:
        """Which regions' figures are old or missing, in words."""
        found = []
        for name, pulse in self._pulses.items():
            age = pulse.age(now.timestamp())
            if pulse.newest is None or age is None:
                found.append(f"{name} has not reported yet")
            elif age > SILENT:
                found.append(
                    f"{name} has not reported for {age:.0f} s: its figures are of {pulse.newest.at:%H:%M:%S} UTC"
                )
            elif not pulse.newest.flows:
                found.append(f"{name} cannot count its events")
            elif not pulse.newest.lags:
                found.append(f"{name} does not report how far its consumers are")
        return found

    def _region(self, name: str, pulse: Pulse, now: float) -> RegionShown:
        newest = pulse.newest
        return RegionShown(
            name=name,
            time_zone=self._zones.get(name, "UTC"),
            heard=_rounded(pulse.age(now)),
            nodes=newest.nodes if newest else 0,
            nodes_up=newest.nodes_up if newest else 0,
            rates=pulse.rates(now),
            lags=newest.lags if newest else (),
            dead=newest.dead if newest else 0,
        )

    def _staleness(self, reader: str, told: str, now: float) -> float | None:
        """Age of the newest word of `told` in `reader`.

        Here it is whatever is newer: the word that was measured, or a measurement that has come from there. What
        another region reads is known only for as long as that region itself is heard.
        """
        pulse = self._pulses[reader]
        age = pulse.age(now)
        measured = pulse.newest.staleness.get(told) if pulse.newest else None
        if reader != self.here:
            return measured if age is not None and age <= SILENT else None
        ages = [measured + age] if measured is not None and age is not None else []
        if (heard := self._pulses[told].age(now)) is not None:
            ages.append(heard)
        return min(ages, default=None)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
