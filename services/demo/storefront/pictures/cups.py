"""Cups: vessels to drink from."""

from services.demo.storefront.catalogue import Picture
from services.demo.storefront.pictures.marks import Line, Mark, Shape, box, circle, ellipse, write
from services.demo.storefront.pictures.patterns import pattern_of
from services.demo.storefront.pictures.shading import body, mouth, shadow

TEA = "#b7b35a"
MATCHA = "#8aa84a"


def yunomi(picture: Picture) -> list[Mark]:
    """A tall cup without a handle."""
    clay, ink, rim = picture.colours
    path = write(
        *("M", 130 + 146j, "C", 128 + 230j, 132 + 286j, 146 + 318j, "Q", 152 + 330j, 168 + 331j),
        *("L", 232 + 331j, "Q", 248 + 330j, 254 + 318j, "C", 268 + 286j, 272 + 230j, 270 + 146j, "Z"),
    )
    low = 150 if picture.pattern == "drip" else 214
    return [
        *shadow(200 + 336j, 60),
        Shape(path=box(164, 324, 236, 339, 5), fill=rim),
        *body(path, clay, (130, 146, 270, 331), pattern_of(picture, ink, clay, (128, low, 272, 316))),
        *mouth(200 + 146j, 70, 19, clay, TEA),
        Line(path=ellipse(200 + 146j, 70, 19), stroke=rim, width=2.5, opacity=0.8),
    ]


def bowl(picture: Picture) -> list[Mark]:
    """A matcha bowl, wide and low."""
    clay, ink, foot = picture.colours
    path = write(
        *("M", 90 + 190j, "C", 92 + 262j, 118 + 316j, 172 + 324j, "L", 228 + 324j),
        *("C", 282 + 316j, 308 + 262j, 310 + 190j, "Z"),
    )
    return [
        *shadow(200 + 338j, 74),
        Shape(path=box(156, 314, 244, 341, 6), fill=foot),
        *body(path, clay, (90, 190, 310, 324), pattern_of(picture, ink, foot, (88, 186, 312, 316))),
        *mouth(200 + 190j, 110, 33, clay, MATCHA),
        *foam(),
        Line(path=ellipse(200 + 190j, 110, 33), stroke=ink, width=2.5, opacity=0.7),
    ]


def foam() -> list[Mark]:
    """Bubbles on whisked matcha."""
    spots = ((168 + 188j, 7), (190 + 202j, 5), (222 + 184j, 8), (240 + 198j, 5), (206 + 190j, 4), (148 + 198j, 4))
    return [Shape(path=ellipse(at, size, size * 0.45), fill="#c5d58c", opacity=0.8) for at, size in spots]


def mug(picture: Picture) -> list[Mark]:
    """A mug with a handle for three fingers."""
    clay, ink, light = picture.colours
    path = write(
        *("M", 112 + 150j, "L", 116 + 308j, "Q", 118 + 334j, 144 + 336j, "L", 222 + 336j),
        *("Q", 248 + 334j, 250 + 308j, "L", 254 + 150j, "Z"),
    )
    handle = write("M", 250 + 190j, "C", 322 + 172j, 326 + 282j, 247 + 276j)
    return [
        *shadow(190 + 336j, 76),
        Line(path=handle, stroke=ink, width=22),
        Line(path=handle, stroke=clay, width=16),
        *body(path, clay, (112, 150, 254, 336), pattern_of(picture, ink, light, (112, 170, 254, 330))),
        *mouth(183 + 150j, 71, 19, clay, "#a65f2c"),
        Line(path=ellipse(183 + 150j, 71, 19), stroke=light, width=2.5),
    ]


def gaiwan(picture: Picture) -> list[Mark]:
    """Bowl, lid and saucer."""
    white, ink, edge = picture.colours
    path = write(
        *("M", 116 + 208j, "C", 122 + 270j, 156 + 306j, 176 + 312j, "L", 224 + 312j),
        *("C", 244 + 306j, 278 + 270j, 284 + 208j, "Z"),
    )
    lid = write("M", 128 + 204j, "C", 140 + 164j, 172 + 150j, 200 + 150j, "C", 228 + 150j, 260 + 164j, 272 + 204j, "Z")
    saucer = write("M", 84 + 312j, "C", 110 + 340j, 290 + 340j, 316 + 312j, "Z")
    return [
        *shadow(200 + 336j, 84),
        *body(saucer, white, (84, 308, 316, 334)),
        Shape(path=ellipse(200 + 312j, 116, 14), fill=white),
        Line(path=ellipse(200 + 312j, 116, 14), stroke=edge, width=2.5),
        Shape(path=ellipse(200 + 313j, 46, 6), fill=edge),
        *body(path, white, (116, 208, 284, 312), pattern_of(picture, ink, "#f0b93a", (136, 236, 284, 300))),
        Shape(path=ellipse(200 + 206j, 84, 15), fill=edge),
        *body(lid, white, (128, 150, 272, 212)),
        Shape(path=ellipse(200 + 203j, 72, 9), fill=white),
        Line(path=write("M", 130 + 206j, "Q", 200 + 222j, 270 + 206j), stroke=edge, width=2.5),
        *body(box(186, 136, 214, 154, 6), white, (186, 136, 214, 154)),
        Shape(path=circle(200 + 178j, 5), fill=ink),
    ]
