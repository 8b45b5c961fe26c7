"""Shading: the light comes from the upper left, on everything alike."""

from collections.abc import Sequence

from services.demo.storefront.pictures.marks import Clip, Mark, Shape, ellipse, write
from services.demo.storefront.pictures.patterns import Box


def body(path: str, fill: str, at: Box, worn: Sequence[Mark] = ()) -> list[Mark]:
    """A body in its colour, with what it wears and the light on it, cut to its outline. `at` is the box around it."""
    left, top, right, bottom = at
    wide = right - left
    shade = write(
        *("M", complex(right - wide * 0.26, top), "Q", complex(right - wide * 0.12, (top + bottom) / 2)),
        *(complex(right - wide * 0.36, bottom), "L", complex(right, bottom), "L", complex(right, top), "Z"),
    )
    light = ellipse(complex(left + wide * 0.16, top + (bottom - top) * 0.42), wide * 0.035, (bottom - top) * 0.26, 0.06)
    return [
        Shape(path=path, fill=fill),
        Clip(
            path=path,
            marks=(
                *worn,
                Shape(path=shade, fill="#1d130a", opacity=0.13),
                Shape(path=light, fill="#ffffff", opacity=0.32),
            ),
        ),
    ]


def mouth(at: complex, across: float, down: float, rim: str, inside: str) -> list[Mark]:
    """An opening seen from above: its rim and what is in it."""
    return [
        Shape(path=ellipse(at, across, down), fill=rim),
        Shape(path=ellipse(at + 1.5j, across - 6, down - 4.5), fill=inside),
    ]


def shadow(at: complex, across: float) -> list[Mark]:
    """What a thing casts on the table, a little to the right."""
    return [
        Shape(path=ellipse(at + across * 0.12, across * 1.12, across * 0.13), fill="#2b1c0d", opacity=0.1),
        Shape(path=ellipse(at + across * 0.05, across * 0.98, across * 0.085), fill="#2b1c0d", opacity=0.16),
    ]
