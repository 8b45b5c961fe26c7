"""Marks: what a drawing is made of, on a square of 400 by 400: filled shapes, lines, and marks cut by a shape.

Paths are a subset of SVG's: absolute M, L, C, Q and Z.
"""

import cmath
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

SIDE = 400
_ROUND = 0.5523
"""How far a cubic's handles reach along the tangent to draw a quarter of a circle."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A filled area."""

    path: str
    fill: str
    opacity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """A stroke with round ends and joins."""

    path: str
    stroke: str
    width: float
    opacity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Marks of which only what is inside `path` shows."""

    path: str
    marks: tuple["Mark", ...]


Mark = Shape | Line | Clip


def write(*parts: str | complex) -> str:
    """A path from letters and points, which are complex numbers."""
    return " ".join(part if isinstance(part, str) else _point(part) for part in parts)


def _point(at: complex) -> str:
    return f"{_short(complex(at).real)} {_short(complex(at).imag)}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def ellipse(at: complex, across: float, down: float, turn: float = 0.0) -> str:
    """An ellipse by its half axes, turned by `turn` radians."""
    way = cmath.rect(1, turn)
    x, y, k = across * way, 1j * down * way, _ROUND
    return write(
        *("M", at + x, "C", at + x + k * y, at + y + k * x, at + y),
        *("C", at + y - k * x, at - x + k * y, at - x),
        *("C", at - x - k * y, at - y - k * x, at - y),
        *("C", at - y + k * x, at + x - k * y, at + x, "Z"),
    )


def circle(at: complex, radius: float) -> str:
    """A circle."""
    return ellipse(at, radius, radius)


def box(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> str:
    """A rectangle with round corners."""
    r = corner
    return write(
        *("M", left + r + top * 1j, "L", right - r + top * 1j, "Q", right + top * 1j, right + (top + r) * 1j),
        *("L", right + (bottom - r) * 1j, "Q", right + bottom * 1j, right - r + bottom * 1j),
        *("L", left + r + bottom * 1j, "Q", left + bottom * 1j, left + (bottom - r) * 1j),
        *("L", left + (top + r) * 1j, "Q", left + top * 1j, left + r + top * 1j, "Z"),
    )


def leaf(at: complex, length: float, width: float, turn: float) -> str:
    """A leaf with its foot at `at`, pointing along `turn`."""
    way = cmath.rect(1, turn)
    tip, side = at + length * way, 1j * width * way
    belly = at + 0.45 * length * way
    return write("M", at, "Q", belly + side, tip, "Q", belly - side, at, "Z")


def polygon(points: Iterable[complex]) -> str:
    """Straight lines through the points, closed."""
    first, *others = points
    return write("M", first, *(part for point in others for part in ("L", point)), "Z")


def scatter(
    left: float, top: float, right: float, bottom: float, step: float, loose: float = 0.35
) -> Iterator[tuple[complex, float]]:
    """Places about `step` apart, each with a number in 0..1 of its own; the same ones every time."""
    row, y = 0, top
    while y <= bottom:
        x = left + (step / 2 if row % 2 else 0)
        while x <= right:
            chance = _noise(x, y)
            yield complex(x + (chance - 0.5) * step * loose, y + (_noise(y, x) - 0.5) * step * loose), chance
            x += step
        row, y = row + 1, y + step * 0.87


def _noise(x: float, y: float) -> float:
    return math.sin(x * 12.9898 + y * 78.233) * 43758.5453 % 1


def moved(path: str, change: Callable[[complex], complex]) -> str:
    """The path with every point changed."""
    found = re.findall(r"[MLCQZ]|-?[\d.]+ -?[\d.]+", path)
    return write(*(part if part.isalpha() else change(complex(*map(float, part.split()))) for part in found))


def grown(mark: Mark, factor: float, about: complex) -> Mark:
    """The mark, bigger by a factor about a point."""

    def change(at: complex) -> complex:
        return about + (at - about) * factor

    match mark:
        case Line():
            return replace(mark, path=moved(mark.path, change), width=mark.width * factor)
        case Clip():
            inner = tuple(grown(one, factor, about) for one in mark.marks)
            return Clip(path=moved(mark.path, change), marks=inner)
    return replace(mark, path=moved(mark.path, change))
