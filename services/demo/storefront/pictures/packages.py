"""Packages: what tea is sold in: the pouch, the caddy, the jar and the tin."""

from services.demo.storefront.catalogue import Picture
from services.demo.storefront.pictures.marks import Clip, Line, Mark, Shape, box, circle, ellipse, leaf, write
from services.demo.storefront.pictures.patterns import pattern_of
from services.demo.storefront.pictures.shading import body, shadow

CREAM = "#fbf7ec"


def pouch(picture: Picture) -> list[Mark]:
    """A paper pouch, folded at the top, with a label that shows the leaf."""
    paper, label, ink = picture.colours
    path = write(
        *("M", 128 + 112j, "L", 272 + 112j, "L", 284 + 330j, "Q", 284 + 338j, 276 + 338j),
        *("L", 124 + 338j, "Q", 116 + 338j, 116 + 330j, "Z"),
    )
    fold = write("M", 124 + 84j, "L", 276 + 84j, "L", 272 + 118j, "L", 128 + 118j, "Z")
    at = (146.0, 166.0, 254.0, 262.0)
    window = box(*at, 6)
    return [
        *shadow(200 + 338j, 84),
        *body(path, paper, (116, 112, 284, 338), [Shape(path=box(116, 292, 284, 300), fill=label, opacity=0.5)]),
        *body(fold, paper, (124, 84, 276, 118)),
        Line(path=write("M", 128 + 117j, "L", 272 + 117j), stroke="#1d130a", width=2.5, opacity=0.22),
        Shape(path=window, fill=label),
        Clip(path=window, marks=tuple(pattern_of(picture, ink, paper, (148, 168, 252, 260)))),
        Shape(path=circle(200 + 262j, 21), fill=label),
        Line(path=circle(200 + 262j, 16), stroke=ink, width=1.8),
        *sprig(200 + 271j, ink),
    ]


def sprig(at: complex, ink: str) -> list[Mark]:
    """The shop's mark: two leaves and a bud."""
    return [
        Shape(path=leaf(at, 13, 6.5, -2.5), fill=ink),
        Shape(path=leaf(at, 13, 6.5, -0.65), fill=ink),
        Shape(path=leaf(at, 19, 5.5, -1.571), fill=ink),
    ]


def caddy(picture: Picture) -> list[Mark]:
    """A square caddy with a round lid; its whole front is printed."""
    metal, label, ink = picture.colours
    at = (126.0, 140.0, 274.0, 338.0)
    panel = box(140, 156, 260, 262, 3)
    lid = box(152, 106, 248, 144, 8)
    return [
        *shadow(200 + 338j, 80),
        *body(lid, ink, (152, 106, 248, 144), [Shape(path=box(152, 132, 248, 136), fill=label, opacity=0.35)]),
        *body(box(*at, 12), metal, at),
        Shape(path=panel, fill=label),
        Clip(path=panel, marks=tuple(pattern_of(picture, metal, ink, (140, 156, 260, 262)))),
        Line(path=panel, stroke=ink, width=2, opacity=0.5),
        Shape(path=box(158, 280, 242, 320, 4), fill=label),
        Line(path=write("M", 170 + 294j, "L", 230 + 294j), stroke=ink, width=4),
        Line(path=write("M", 182 + 307j, "L", 218 + 307j), stroke=ink, width=2.6, opacity=0.6),
    ]


def jar(picture: Picture) -> list[Mark]:
    """A glass jar with a cork: one sees what is in it."""
    ink, light, second = picture.colours
    glass = write(
        *("M", 152 + 132j, "L", 248 + 132j, "Q", 250 + 150j, 266 + 160j, "Q", 280 + 170j, 280 + 190j),
        *("L", 280 + 316j, "Q", 280 + 338j, 258 + 338j, "L", 142 + 338j, "Q", 120 + 338j, 120 + 316j),
        *("L", 120 + 190j, "Q", 120 + 170j, 134 + 160j, "Q", 150 + 150j, 152 + 132j, "Z"),
    )
    heap = write(
        *("M", 112 + 204j, "Q", 160 + 182j, 206 + 196j, "Q", 250 + 208j, 288 + 190j),
        *("L", 288 + 346j, "L", 112 + 346j, "Z"),
    )
    filled = (Shape(path=heap, fill=ink, opacity=0.3), *pattern_of(picture, ink, second, (118, 206, 284, 342)))
    return [
        *shadow(200 + 338j, 82),
        *body(box(156, 92, 244, 130, 7), "#c69a68", (156, 92, 244, 130), _cork()),
        *body(glass, light, (120, 132, 280, 338), filled),
        Line(path=glass, stroke="#ffffff", width=4, opacity=0.75),
        Shape(path=box(148, 126, 252, 140, 6), fill="#ffffff", opacity=0.7),
        Shape(path=circle(200 + 282j, 34), fill=CREAM),
        Line(path=circle(200 + 282j, 28), stroke=second if light != second else ink, width=2, opacity=0.7),
        *sprig(200 + 296j, _readable(picture)),
    ]


def _cork() -> list[Mark]:
    spots = (170 + 104j, 190 + 116j, 214 + 102j, 228 + 118j, 204 + 124j)
    return [Shape(path=ellipse(spot, 5, 2), fill="#8d6238", opacity=0.6) for spot in spots]


def _readable(picture: Picture) -> str:
    """The darkest of the colours."""
    return min(picture.colours, key=lambda colour: sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)))


def tin(picture: Picture) -> list[Mark]:
    """A round tin whose lid sinks by itself."""
    side, light, ink = picture.colours
    path = write(
        *("M", 122 + 178j, "L", 122 + 312j, "C", 122 + 346j, 278 + 346j, 278 + 312j),
        *("L", 278 + 178j, "Z"),
    )
    lid = write(
        *("M", 119 + 130j, "L", 119 + 190j, "C", 119 + 220j, 281 + 220j, 281 + 190j),
        *("L", 281 + 130j, "Z"),
    )
    worn = pattern_of(picture, light, ink, (122, 212, 278, 340))
    return [
        *shadow(200 + 332j, 82),
        *body(path, side, (122, 178, 278, 340), worn),
        *body(lid, ink, (119, 130, 281, 214)),
        Shape(path=ellipse(200 + 130j, 81, 22), fill=side),
        Shape(path=ellipse(198 + 129j, 72, 18), fill="#ffffff", opacity=0.16),
        *sprig(200 + 137j, light),
    ]
