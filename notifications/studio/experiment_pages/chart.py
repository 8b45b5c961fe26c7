"""Chart: the effect and its interval at the end of each day, as lines of a picture."""

from collections.abc import Sequence

import msgspec

from notifications.studio.experiment_pages.result import Point

WIDTH, HEIGHT = 720.0, 180.0
"""In units of its own."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """The interval as the points of a polygon, the estimate as those of a line, where zero is, and the extremes."""

    band: str
    line: str
    zero: float
    low: float
    high: float


def chart(points: Sequence[Point]) -> Chart | None:
    """None where there are fewer than two days to draw."""
    if len(points) < 2:
        return None
    low = min(0.0, *(one.low for one in points))
    high = max(0.0, *(one.high for one in points))
    first, length = points[0].day, (points[-1].day - points[0].day).days

    def place(point: Point, value: float) -> str:
        return f"{WIDTH * (point.day - first).days / length:.1f},{_y(value, low, high):.1f}"

    above, below = [place(one, one.high) for one in points], [place(one, one.low) for one in reversed(points)]
    return Chart(
        band=" ".join([*above, *below]),
        line=" ".join(place(one, one.estimate) for one in points),
        zero=round(_y(0.0, low, high), 1),
        low=low,
        high=high,
    )


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT * (high - value) / (high - low) if high > low else HEIGHT / 2
