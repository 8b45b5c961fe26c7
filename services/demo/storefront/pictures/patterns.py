"""Patterns: what makers put on their vessels and packages. Each fills a box; whoever calls cuts it to shape."""

import math
from collections.abc import Callable

from services.demo.storefront.catalogue import Picture
from services.demo.storefront.pictures.marks import (
    Line,
    Mark,
    Shape,
    box,
    circle,
    ellipse,
    leaf,
    polygon,
    scatter,
    write,
)

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def needles(ink: str, second: str, at: Box) -> list[Mark]:  # noqa: ARG001  each pattern takes both inks
    """Leaves rolled thin as needles."""
    return [
        Line(path=write("M", spot, "L", spot + 17 * complex(math.cos(t := chance * 2.4 - 1.9), math.sin(t))), **pen)
        for spot, chance in scatter(*at, 21, 0.8)
        for pen in [{"stroke": ink, "width": 3.2, "opacity": 0.55 + chance * 0.45}]
    ]


def waves(ink: str, second: str, at: Box) -> list[Mark]:
    """Seigaiha: the blue sea's waves."""
    left, top, right, bottom = at
    marks: list[Mark] = []
    for row in range(int((bottom - top) / 13) + 4):
        y, x = top + row * 13, left - 26 + (26 if row % 2 else 0)
        while x <= right + 26:
            marks.append(Shape(path=circle(complex(x, y), 25), fill=second))
            marks += [Line(path=circle(complex(x, y), r), stroke=ink, width=2.6) for r in (24, 16, 8)]
            x += 52
    return marks


def grains(ink: str, second: str, at: Box) -> list[Mark]:
    """Grains of rice or buckwheat."""
    return [
        Shape(path=ellipse(spot, 8, 4, chance * 3.1), fill=ink if chance > 0.3 else second)
        for spot, chance in scatter(*at, 20, 0.7)
    ]


def stripes(ink: str, second: str, at: Box) -> list[Mark]:
    """Bands across, wide and narrow by turns."""
    left, top, right, bottom = at
    marks: list[Mark] = []
    y = top + 8
    while y < bottom:
        marks.append(Shape(path=box(left, y, right, y + 11), fill=ink))
        marks.append(Shape(path=box(left, y + 17, right, y + 20), fill=second))
        y += 34
    return marks


def rings(ink: str, second: str, at: Box) -> list[Mark]:
    """Two thrown rings."""
    left, top, right, bottom = at
    middle, bend = (top + bottom) / 2, (right - left) * 0.07
    return [
        Line(
            path=write("M", complex(left, y), "Q", complex((left + right) / 2, y + 2 * bend), complex(right, y)),
            stroke=colour,
            width=width,
        )
        for y, colour, width in ((middle - 14, ink, 6), (middle + 6, second, 2.6))
    ]


def hills(ink: str, second: str, at: Box) -> list[Mark]:
    """Ridge behind ridge, and the sun."""
    left, top, right, bottom = at
    wide, high = right - left, bottom - top
    marks: list[Mark] = [Shape(path=circle(complex(left + wide * 0.68, top + high * 0.3), wide * 0.13), fill=ink)]
    for step, (height, opacity) in enumerate(((0.42, 0.35), (0.58, 0.6), (0.74, 1.0))):
        y, shift = top + high * height, wide * (0.18 - 0.2 * step)
        ridge = write(
            *("M", complex(left, y + high * 0.1), "Q", complex(left + wide * 0.3 + shift, y - high * 0.2)),
            *(complex(left + wide * 0.6, y + high * 0.06), "Q", complex(left + wide * 0.8, y - high * 0.1)),
            *(complex(right, y), "L", complex(right, bottom), "L", complex(left, bottom), "Z"),
        )
        marks.append(Shape(path=ridge, fill=ink, opacity=opacity))
    return [*marks, Line(path=write("M", complex(left, bottom), "L", complex(right, bottom)), stroke=second, width=3)]


def petals(ink: str, second: str, at: Box) -> list[Mark]:
    """Blossoms of five petals."""
    marks: list[Mark] = []
    for spot, chance in scatter(*at, 52, 0.4):
        marks.extend(Shape(path=leaf(spot, 15, 10, turn * math.tau / 5 + chance * 3), fill=ink) for turn in range(5))
        marks.append(Shape(path=circle(spot, 3), fill=second))
    return marks


def dots(ink: str, second: str, at: Box) -> list[Mark]:
    """Dots, every third in the other colour."""
    return [
        Shape(path=circle(spot, 6.5), fill=second if index % 3 == 1 else ink)
        for index, (spot, _) in enumerate(scatter(*at, 30, 0))
    ]


def leaves(ink: str, second: str, at: Box) -> list[Mark]:
    """Whole leaves with their rib."""
    marks: list[Mark] = []
    for spot, chance in scatter(*at, 29, 0.6):
        turn = chance * 5
        rib = spot + 23 * complex(math.cos(turn), math.sin(turn))
        marks.append(Shape(path=leaf(spot, 28, 13, turn), fill=ink))
        marks.append(Line(path=write("M", spot, "L", rib), stroke=second, width=1.4))
    return marks


def flowers(ink: str, second: str, at: Box) -> list[Mark]:
    """Chamomile: white rays around a yellow heart."""
    marks: list[Mark] = []
    for spot, chance in scatter(*at, 34, 0.5):
        marks.extend(Shape(path=leaf(spot, 16, 5.5, turn * math.tau / 8 + chance), fill=second) for turn in range(8))
        marks.append(Shape(path=circle(spot, 6), fill=ink))
    return marks


def slices(ink: str, second: str, at: Box) -> list[Mark]:
    """Slices of orange among red needles."""
    marks = needles(ink, second, at)
    for spot, chance in scatter(*at, 62, 0.5):
        marks.append(Shape(path=circle(spot, 19), fill=second))
        marks.append(Line(path=circle(spot, 17), stroke="#fff3df", width=2))
        for turn in range(6):
            way = complex(math.cos(turn * math.tau / 6 + chance), math.sin(turn * math.tau / 6 + chance))
            marks.append(Line(path=write("M", spot, "L", spot + 15 * way), stroke="#fff3df", width=1.6))
    return marks


def berries(ink: str, second: str, at: Box) -> list[Mark]:
    """Berries, each with its light."""
    marks: list[Mark] = []
    for spot, chance in scatter(*at, 19, 0.6):
        marks.append(Shape(path=circle(spot, 10), fill=ink if chance > 0.35 else second))
        marks.append(Shape(path=circle(spot - 3 - 3j, 2.4), fill="#ffffff", opacity=0.45))
    return marks


def drip(ink: str, second: str, at: Box) -> list[Mark]:
    """Glaze that ran down from the rim and stopped."""
    left, top, right, bottom = at
    step, high = (right - left) / 6, bottom - top
    depths = (0.34, 0.56, 0.42, 0.66, 0.4, 0.52, 0.36)
    edge: list[str | complex] = ["M", complex(left, top), "L", complex(left, top + high * depths[0])]
    for index, depth in enumerate(depths[1:]):
        x, y, before = left + index * step, top + high * depth, top + high * depths[index]
        edge += ["C", complex(x + step * 0.5, before), complex(x + step * 0.5, y), complex(x + step, y)]
    path = write(*edge, "L", complex(right, top), "Z")
    lower = write(*edge)
    return [Shape(path=path, fill=ink), Line(path=lower, stroke=second, width=3, opacity=0.35)]


def hares(ink: str, second: str, at: Box) -> list[Mark]:  # noqa: ARG001  each pattern takes both inks
    """Hare's fur: fine streaks that the glaze drew as it flowed."""
    left, top, right, bottom = at
    marks: list[Mark] = []
    x = left
    while x < right:
        chance = abs(math.sin(x * 1.7)) * 0.5 + abs(math.sin(x * 0.37)) * 0.5
        end = complex(x + 2, top + (bottom - top) * (0.2 + 0.5 * chance))
        pen = {"width": 1.4 + chance * 1.6, "opacity": 0.35 + 0.5 * chance}
        marks.append(Line(path=write("M", complex(x, top), "L", end), stroke=ink, **pen))
        x += 5.5
    return marks


def hobnail(ink: str, second: str, at: Box) -> list[Mark]:
    """Arare: rows of cast points."""
    marks: list[Mark] = []
    for spot, _ in scatter(*at, 15, 0):
        marks.append(Shape(path=circle(spot + 1.2 + 1.4j, 4.4), fill=ink))
        marks.append(Shape(path=circle(spot, 3.2), fill=second, opacity=0.75))
    return marks


def bark(ink: str, second: str, at: Box) -> list[Mark]:
    """Cherry bark with its short bright lines across."""
    return [
        Line(
            path=write("M", spot, "L", spot + 10 + 26 * chance),
            stroke=ink if chance > 0.4 else second,
            width=2 + 2.4 * chance,
            opacity=0.8,
        )
        for spot, chance in scatter(*at, 24, 0.9)
    ]


def grain(ink: str, second: str, at: Box) -> list[Mark]:  # noqa: ARG001  each pattern takes both inks
    """Wood, cut along the tree."""
    left, top, right, bottom = at
    middle = complex((left + right) / 2 - 20, (top + bottom) / 2)
    return [
        Line(path=ellipse(middle, 14 + 21 * ring, 2 + 5.4 * ring), stroke=ink, width=1.8, opacity=0.6)
        for ring in range(8)
    ]


def checks(ink: str, second: str, at: Box) -> list[Mark]:
    """Ichimatsu: a chequered cloth."""
    left, top, right, bottom = at
    marks: list[Mark] = []
    for row in range(int((bottom - top) / 22) + 1):
        for column in range(int((right - left) / 22) + 1):
            if (row + column) % 2:
                corner = complex(left + column * 22, top + row * 22)
                square = polygon([corner, corner + 22, corner + 22 + 22j, corner + 22j])
                marks.append(Shape(path=square, fill=ink if row % 4 else second))
    return marks


def plain(ink: str, second: str, at: Box) -> list[Mark]:  # noqa: ARG001  each pattern takes both inks
    """Nothing: the material is enough."""
    return []


PATTERNS: dict[str, Callable[[str, str, Box], list[Mark]]] = {
    pattern.__name__: pattern
    for pattern in (
        *(needles, waves, grains, stripes, rings, hills, petals, dots, leaves, flowers, slices, berries, drip, hares),
        *(hobnail, bark, grain, checks, plain),
    )
}


def pattern_of(picture: Picture, ink: str, second: str, at: Box) -> list[Mark]:
    """A product's pattern in a box; KeyError for one that nobody draws."""
    return PATTERNS[picture.pattern](ink, second, at)
