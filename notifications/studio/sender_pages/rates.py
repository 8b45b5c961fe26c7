"""Rates: how many of the last 7 days' mails to each domain came back or were complained of, and which are paused."""

from datetime import UTC, datetime

import msgspec

from mesh import Mesh
from mesh.settings import read
from notifications.exact_sums import Figures
from notifications.mail_reports.pausing import PauseSettings
from notifications.sender_rates import read_rates
from notifications.sending_pauses import paused_domains, place_of

MOST = 50


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient domain's figures, and whether offers to it are held since when and why."""

    name: str
    place: str
    counts: Figures
    paused: datetime | None = None
    reason: str = ""

    def count(self, name: str) -> int:
        """One figure."""
        return self.counts.get(name, 0)

    def share(self, name: str) -> float | None:
        """A figure's part of what was sent; None where nothing was."""
        return self.count(name) / self.count("sent") if self.count("sent") else None


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The domains with the most mails, those that are paused first; `more` are not shown. `bounds` are the settings."""

    domains: tuple[Domain, ...]
    more: int
    bounds: PauseSettings

    @property
    def paused(self) -> list[Domain]:
        """Those to which offers are held."""
        return [one for one in self.domains if one.paused]


async def read_domains(mesh: Mesh) -> Rates:
    """The figures of this region. Raises Unavailable."""
    counted = await read_rates(mesh, today=datetime.now(UTC).date())
    held = await paused_domains(mesh)
    found = [
        Domain(
            name=domain,
            place=place_of(domain),
            counts=counted.get(domain, {}),
            paused=held[domain].stored if domain in held else None,
            reason=held[domain].event.reason if domain in held else "",
        )
        for domain in counted.keys() | held.keys()
    ]
    found.sort(key=lambda one: (one.paused is None, -one.count("sent"), one.name))
    return Rates(domains=tuple(found[:MOST]), more=len(found[MOST:]), bounds=read(PauseSettings))
