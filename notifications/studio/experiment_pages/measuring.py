"""Measuring: what experiments and offers of the whole mesh come to, as far back as figures are kept."""

from datetime import date, timedelta

from mesh import Mesh
from notifications.exact_sums import Figures, total
from notifications.studio.decision_pages import figures as offer_figures
from notifications.studio.experiment_pages.figures import EXPERIMENT_DAYS, read_days
from notifications.studio.experiment_pages.result import Read

LONGEST = int(EXPERIMENT_DAYS.ttl.total_seconds() // 86_400) if EXPERIMENT_DAYS.ttl else 400


async def read_figures(mesh: Mesh, today: date) -> Read:
    """The sums of experiments, by region and day. Raises Unavailable."""
    return await read_days(mesh, _regions(mesh), _days(today, None))


async def read_offers(mesh: Mesh, today: date, journey: str, *, since: date | None = None) -> Figures:
    """The figures of a journey's offers, since a day. Raises Unavailable."""
    read = await offer_figures.read_days(mesh, _regions(mesh), _days(today, since))
    return total(journeys[journey] for journeys in read.values() if journey in journeys)


def _regions(mesh: Mesh) -> tuple[str, ...]:
    return (mesh.region, *sorted(mesh.others))


def _days(today: date, since: date | None) -> list[date]:
    days = (today - timedelta(days=back) for back in range(LONGEST))
    return [day for day in days if since is None or day >= since]
