"""Overview: what the figures of some days and regions come to: per journey, per day, and why there was no offer."""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from mesh import Mesh, Money
from notifications.exact_sums import Figures, total
from notifications.studio.decision_pages import words
from notifications.studio.decision_pages.figures import read_days

WIDTH, HEIGHT, GAP = 720, 140, 2
"""Of the chart of days, in units of its own."""
STACKED = ("approved", "held", "dropped")
Read = Mapping[tuple[str, date], Mapping[str, Figures]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one journey, or of one day."""

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

    days: tuple[date, ...]
    whole: Row
    journeys: tuple[Row, ...]
    by_day: tuple[Row, ...]
    reasons: tuple[Reason, ...]
    bars: tuple[Bar, ...]

    @property
    def most(self) -> int:
        """How many carts were evaluated on the busiest day."""
        return max(row.count("evaluated") for row in self.by_day)


async def read_overview(mesh: Mesh, *, regions: tuple[str, ...], days: int, today: date, journey: str = "") -> Overview:
    """The overview of the last days up to today (UTC), of all journeys or of one. Raises Unavailable."""
    wanted = tuple(today - timedelta(days=back) for back in reversed(range(days)))
    return overview(await read_days(mesh, regions, wanted), wanted, journey)


def overview(read: Read, days: tuple[date, ...], journey: str = "") -> Overview:
    """The overview of what was read."""
    by_journey: dict[str, list[Figures]] = {}
    by_day: dict[date, list[Figures]] = {day: [] for day in days}
    for (_, day), journeys in read.items():
        for name, figures in journeys.items():
            if journey in ("", name):
                by_journey.setdefault(name, []).append(figures)
                by_day[day].append(figures)
    rows = [Row(name=name, figures=total(many)) for name, many in sorted(by_journey.items())]
    of_days = tuple(Row(name=day.isoformat(), figures=total(by_day[day])) for day in days)
    whole = Row(name="", figures=total(row.figures for row in rows))
    return Overview(
        days=days,
        whole=whole,
        journeys=tuple(sorted(rows, key=lambda row: (-row.count("evaluated"), row.name))),
        by_day=of_days,
        reasons=_reasons(whole.figures),
        bars=_bars(of_days),
    )


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


def _bars(days: tuple[Row, ...]) -> tuple[Bar, ...]:
    """For each day a column: approved at the bottom, held on it, dropped on top."""
    most = max((day.count("evaluated") for day in days), default=0)
    if not most:
        return ()
    width, found = WIDTH / len(days), list[Bar]()
    for at, day in enumerate(days):
        top = float(HEIGHT)
        for outcome in STACKED:
            height = HEIGHT * day.count(outcome) / most
            top -= height
            if height:
                found.append(
                    Bar(
                        x=round(at * width + GAP / 2, 2),
                        y=round(top, 2),
                        width=round(max(width - GAP, 1), 2),
                        height=round(height, 2),
                        outcome=outcome,
                        words=f"{day.name}: {day.count(outcome):,} {outcome}",
                    )
                )
    return tuple(found)
