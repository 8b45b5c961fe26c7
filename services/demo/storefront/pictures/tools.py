"""Tools: what else a tea table needs."""

import math

from services.demo.storefront.catalogue import Picture
from services.demo.storefront.pictures.marks import Clip, Line, Mark, Shape, circle, ellipse, write
from services.demo.storefront.pictures.patterns import pattern_of
from services.demo.storefront.pictures.shading import body, shadow


def whisk(picture: Picture) -> list[Mark]:
    """A bamboo whisk on its tines, bound with black thread."""
    bamboo, dark, thread = picture.colours
    tines: list[Mark] = []
    for index in range(17):
        way = (index - 8) / 8
        foot = complex(200 + way * 74, 330 - 7 * (1 - abs(way)))
        path = write(
            "M", complex(200 + way * 34, 196), "C", complex(200 + way * 64, 236), complex(200 + way * 88, 292), foot
        )
        tines.append(Line(path=path, stroke=dark if index % 2 else bamboo, width=5.4))
    core = write("M", 178 + 200j, "L", 170 + 296j, "Q", 200 + 310j, 230 + 296j, "L", 222 + 200j, "Z")
    return [
        *shadow(200 + 334j, 80),
        *tines[::2],
        Shape(path=core, fill=dark),
        *tines[1::2],
        *body(
            write("M", 164 + 84j, "L", 236 + 84j, "L", 236 + 200j, "L", 164 + 200j, "Z"), bamboo, (164, 84, 236, 200)
        ),
        Shape(path=ellipse(200 + 84j, 36, 9), fill="#ecd7a6"),
        Shape(path=ellipse(200 + 84j, 22, 5), fill=dark),
        *[
            Line(path=write("M", complex(165, y), "Q", complex(200, y + 8), complex(235, y)), stroke=thread, width=3.2)
            for y in (186, 193, 200)
        ],
        Line(path=write("M", 165 + 130j, "Q", 200 + 138j, 235 + 130j), stroke=dark, width=3),
    ]


def scoop(picture: Picture) -> list[Mark]:
    """A scoop of bent bamboo beside a heap of matcha."""
    bamboo, dark, powder = picture.colours
    stem = write("M", 92 + 318j, "C", 150 + 252j, 216 + 182j, 262 + 134j, "C", 282 + 112j, 304 + 102j, 316 + 118j)
    heap = write("M", 204 + 334j, "Q", 236 + 278j, 262 + 274j, "Q", 294 + 284j, 326 + 334j, "Z")
    return [
        *shadow(216 + 334j, 110),
        *body(heap, powder, (204, 274, 326, 334)),
        *[Shape(path=circle(at, 2.6), fill=powder) for at in (190 + 332j, 198 + 338j, 336 + 336j, 184 + 338j)],
        Line(path=stem, stroke=dark, width=22),
        Line(path=stem, stroke=bamboo, width=16),
        Line(path=stem, stroke="#ecd7a6", width=3.5, opacity=0.8),
        Line(path=write("M", 170 + 222j, "L", 188 + 240j), stroke=dark, width=4),
        Line(path=write("M", 292 + 106j, "Q", 316 + 100j, 318 + 120j), stroke=powder, width=13),
    ]


def strainer(picture: Picture) -> list[Mark]:
    """A round sieve with a walnut grip."""
    steel, dark, wood = picture.colours
    basket = write("M", 92 + 220j, "C", 98 + 300j, 214 + 300j, 220 + 220j, "Z")
    mesh = [
        Line(path=write("M", complex(x, 200), "L", complex(x + slant, 300)), stroke=dark, width=1.5, opacity=0.8)
        for x in range(60, 260, 12)
        for slant in (-44, 44)
    ]
    grip = write("M", 264 + 208j, "L", 342 + 196j, "Q", 358 + 206j, 344 + 220j, "L", 266 + 226j, "Z")
    glass = write(
        "M",
        102 + 236j,
        "L",
        114 + 324j,
        "Q",
        116 + 338j,
        132 + 338j,
        "L",
        180 + 338j,
        "Q",
        196 + 338j,
        198 + 324j,
        "L",
        210 + 236j,
        "Z",
    )
    return [
        *shadow(160 + 336j, 62),
        *body(glass, "#e9ded0", (102, 236, 210, 338)),
        *body(basket, "#dfe3e4", (92, 220, 220, 282), mesh),
        Line(path=write("M", 218 + 220j, "L", 270 + 217j), stroke=dark, width=8),
        Line(path=ellipse(156 + 220j, 66, 15), stroke=dark, width=9),
        Line(path=ellipse(156 + 219j, 66, 15), stroke=steel, width=5),
        *body(grip, wood, (264, 194, 352, 228)),
    ]


def tray(picture: Picture) -> list[Mark]:
    """A round tray, seen from a chair, with a cup on it."""
    wood, dark, light = picture.colours
    face = ellipse(200 + 262j, 146, 58)
    cup = write(
        "M",
        208 + 196j,
        "C",
        210 + 238j,
        222 + 258j,
        240 + 260j,
        "L",
        262 + 260j,
        "C",
        280 + 258j,
        292 + 238j,
        294 + 196j,
        "Z",
    )
    return [
        *shadow(200 + 306j, 140),
        Shape(path=ellipse(200 + 276j, 152, 64), fill=dark),
        Shape(path=ellipse(200 + 264j, 152, 62), fill=light),
        Shape(path=face, fill=wood),
        Clip(path=face, marks=tuple(pattern_of(picture, dark, light, (54, 204, 346, 320)))),
        Line(path=ellipse(200 + 262j, 134, 51), stroke=dark, width=3, opacity=0.6),
        Shape(path=ellipse(258 + 262j, 42, 10), fill="#2b1c0d", opacity=0.25),
        *body(cup, "#f1ede3", (208, 196, 294, 260)),
        Shape(path=ellipse(251 + 196j, 43, 12), fill="#f8f5ee"),
        Shape(path=ellipse(251 + 197j, 36, 9), fill="#b7b35a"),
        Line(path=write("M", 211 + 220j, "Q", 251 + 236j, 291 + 220j), stroke="#2f4a7d", width=4),
        *[Shape(path=circle(at, 7), fill="#e9a8a0") for at in (130 + 256j, 148 + 266j)],
        Shape(path=circle(134 + 270j, 7), fill="#9db36a"),
    ]


def bundle(picture: Picture) -> list[Mark]:
    """A cloth around a box, knotted on top."""
    cloth, light, dark = picture.colours
    path = write(
        *("M", 104 + 212j, "Q", 150 + 190j, 200 + 194j, "Q", 250 + 190j, 296 + 212j, "Q", 306 + 270j, 298 + 328j),
        *("Q", 296 + 338j, 284 + 338j, "L", 116 + 338j, "Q", 104 + 338j, 102 + 328j, "Q", 94 + 270j, 104 + 212j, "Z"),
    )
    ears = [
        write("M", 198 + 192j, "C", 150 + 170j, 118 + 128j, 136 + 104j, "C", 168 + 108j, 196 + 150j, 202 + 186j, "Z"),
        write("M", 202 + 192j, "C", 250 + 170j, 282 + 128j, 264 + 104j, "C", 232 + 108j, 204 + 150j, 198 + 186j, "Z"),
    ]
    folds = [
        write("M", 200 + 196j, "Q", complex(200 + side * 50, 240), complex(200 + side * 92, 326)) for side in (-1, 1)
    ]
    marks: list[Mark] = [*shadow(200 + 336j, 98)]
    for ear, left in zip(ears, (118.0, 198.0), strict=True):
        marks += body(
            ear, cloth, (left, 104, left + 84, 192), pattern_of(picture, light, light, (left, 100, left + 90, 196))
        )
    marks += body(path, cloth, (96, 194, 304, 338), pattern_of(picture, light, light, (92, 190, 310, 340)))
    marks += [Line(path=fold, stroke=dark, width=4, opacity=0.55) for fold in folds]
    knot = ellipse(200 + 190j, 26, 17, math.pi / 24)
    return [*marks, *body(knot, cloth, (174, 172, 226, 208)), Line(path=knot, stroke=dark, width=2.5, opacity=0.5)]
