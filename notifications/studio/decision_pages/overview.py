"""Overview: what the figures of some time come to: per journey, per day or month, and why there was no offer."""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from mesh import Mesh, Money
from notifications.exact_sums import Figures, total
from notifications.studio.decision_pages import words
from notifications.studio.decision_pages.figures import EVERY, read_days, read_months

YEAR, MONTHS = 365, 12
"""So many days are shown as so many months, the last of which is not over: a year of days is too much to look at."""
WIDTH, HEIGHT, GAP = 720, 140, 2
"""Of the chart of days or months, in units of its own."""
STACKED = ("approved", "held", "dropped")
Read = Mapping[tuple[str, date], Mapping[str, Figures]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one journey, or of one day or month."""

    name: str
    figures: Figures

    def count(self, name: str) -> int:
        """One figure."""
        return self.figures.get(name, 0)

    @property
    def revenue(self) -> str:
        """The totals of the orders that followed offers, per currency."""
        return revenue(self.figures)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why offers were held or dropped, how many, and their share (0 to 100) of the most frequent reason's."""

    outcome: str
    reason: str
    sentence: str
    count: int
    share: float


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the chart: a rectangle, which outcome it stands for, and what it says."""

    x: float
    y: float
    width: float
    height: float
    outcome: str
    words: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page shows."""

    period: str
    whole: Row
    journeys: tuple[Row, ...]
    by_period: tuple[Row, ...]
    reasons: tuple[Reason, ...]
    bars: tuple[Bar, ...]

    @property
    def most(self) -> int:
        """How many carts were evaluated on the busiest day, or in the busiest month."""
        return max(row.count("evaluated") for row in self.by_period)


async def read_overview(mesh: Mesh, *, regions: tuple[str, ...], days: int, today: date, journey: str = "") -> Overview:
    """The overview of the last days up to today (UTC), of all journeys or of one; of a `YEAR` by month.

    Raises Unavailable.
    """
    if days == YEAR:
        months = tuple(reversed([_month(today, back) for back in range(MONTHS)]))
        return overview(await read_months(mesh, regions, months), months, journey, period="month")
    wanted = tuple(today - timedelta(days=back) for back in reversed(range(days)))
    return overview(await read_days(mesh, regions, wanted), wanted, journey)


def overview(read: Read, periods: tuple[date, ...], journey: str = "", *, period: str = "day") -> Overview:
    """The overview of what was read: of each of these days, or of the months that begin on them."""
    by_journey: dict[str, list[Figures]] = {}
    by_period: dict[date, list[Figures]] = {day: [] for day in periods}
    for (_, day), journeys in read.items():
        by_period[day].append(journeys.get(journey or EVERY, {}))
        for name in (journey,) if journey else journeys.keys() - {EVERY}:
            by_journey.setdefault(name, []).append(journeys.get(name, {}))
    rows = [Row(name=name, figures=figures) for name, many in sorted(by_journey.items()) if (figures := total(many))]
    of_periods = tuple(Row(name=_name(day, period), figures=total(by_period[day])) for day in periods)
    whole = Row(name="", figures=total(row.figures for row in of_periods))
    return Overview(
        period=period,
        whole=whole,
        journeys=tuple(sorted(rows, key=lambda row: (-row.count("evaluated"), row.name))),
        by_period=of_periods,
        reasons=_reasons(whole.figures),
        bars=_bars(of_periods),
    )


def span(days: int) -> str:
    """What so many days are called."""
    return f"{MONTHS} months" if days == YEAR else f"{days} days"


def _month(today: date, back: int) -> date:
    """The first day of the month so many months ago."""
    months = 12 * today.year + today.month - 1 - back
    return date(months // 12, months % 12 + 1, 1)


def _name(day: date, period: str) -> str:
    return f"{day:%Y-%m}" if period == "month" else day.isoformat()


def revenue(figures: Figures) -> str:
    """The totals of the orders that followed offers, per currency; a dash for none."""
    names = sorted(name for name in figures if name.startswith("revenue:"))
    amounts = [Money(amount=figures[name], currency=name.partition(":")[2]) for name in names]
    return ", ".join(words.money(one) for one in amounts if one.amount) or "-"


def _reasons(figures: Figures) -> tuple[Reason, ...]:
    """The most frequent first."""
    found = [(name.partition(":"), count) for name, count in figures.items() if name.startswith(("held:", "dropped:"))]
    most = max((count for _, count in found), default=1)
    return tuple(
        Reason(
            outcome=outcome,
            reason=reason,
            sentence=words.reason(reason),
            count=count,
            share=round(100 * count / most, 2),
        )
        for (outcome, _, reason), count in sorted(found, key=lambda one: (-one[1], one[0]))
    )


def _bars(periods: tuple[Row, ...]) -> tuple[Bar, ...]:
    """For each day or month a column: approved at the bottom, held on it, dropped on top."""
    most = max((one.count("evaluated") for one in periods), default=0)
    if not most:
        return ()
    width, found = WIDTH / len(periods), list[Bar]()
    for at, one in enumerate(periods):
        top = float(HEIGHT)
        for outcome in STACKED:
            height = HEIGHT * one.count(outcome) / most
            top -= height
            if height:
                found.append(
                    Bar(
                        x=round(at * width + GAP / 2, 2),
                        y=round(top, 2),
                        width=round(max(width - GAP, 1), 2),
                        height=round(height, 2),
                        outcome=outcome,
                        words=f"{one.name}: {one.count(outcome):,} {outcome}",
                    )
                )
    return tuple(found)
