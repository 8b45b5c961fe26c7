"""Pots: vessels to brew in and to pour from."""

from services.demo.storefront.catalogue import Picture
from services.demo.storefront.pictures.marks import Clip, Line, Mark, Shape, box, circle, ellipse, leaf, write
from services.demo.storefront.pictures.patterns import pattern_of
from services.demo.storefront.pictures.shading import body, mouth, shadow

WOOD = "#b58350"


def _lid(at: complex, across: float, fill: str, dark: str) -> list[Mark]:
    """A domed lid with a knob."""
    x, y = at.real, at.imag
    dome = write(
        *("M", complex(x - across, y), "C", complex(x - across * 0.7, y - 26), complex(x + across * 0.7, y - 26)),
        *(complex(x + across, y), "C", complex(x + across * 0.6, y + 9), complex(x - across * 0.6, y + 9)),
        *(complex(x - across, y), "Z"),
    )
    return [
        *body(dome, fill, (x - across, y - 24, x + across, y + 8)),
        Line(path=write("M", at - across, "Q", at + 14j, at + across), stroke=dark, width=2.5),
        *body(circle(at - 29j, 11), fill, (x - 11, y - 40, x + 11, y - 18)),
    ]


def kyusu(picture: Picture) -> list[Mark]:
    """A side-handled pot, as it is held in the right hand."""
    clay, dark, light = picture.colours
    path = write(
        *("M", 130 + 200j, "C", 96 + 226j, 92 + 300j, 136 + 330j, "L", 234 + 330j),
        *("C", 278 + 300j, 274 + 226j, 240 + 200j, "Z"),
    )
    spout = write(
        "M",
        122 + 284j,
        "C",
        96 + 270j,
        84 + 244j,
        58 + 214j,
        "L",
        80 + 204j,
        "C",
        94 + 222j,
        110 + 230j,
        130 + 234j,
        "Z",
    )
    handle = write("M", 252 + 246j, "L", 338 + 190j, "L", 352 + 208j, "L", 262 + 286j, "Z")
    return [
        *shadow(190 + 334j, 88),
        *body(spout, clay, (58, 204, 134, 290)),
        *body(handle, clay, (250, 186, 354, 292)),
        Shape(path=ellipse(345 + 199j, 8, 12, -0.7), fill=dark),
        *body(path, clay, (98, 200, 272, 330), pattern_of(picture, dark, light, (98, 214, 272, 318))),
        Shape(path=ellipse(185 + 201j, 56, 12), fill=dark),
        *_lid(185 + 197j, 52, clay, dark),
    ]


def teapot(picture: Picture) -> list[Mark]:
    """A round pot with a wooden handle behind."""
    clay, ink, light = picture.colours
    path = write(
        *("M", 148 + 172j, "C", 86 + 196j, 84 + 318j, 150 + 332j, "L", 232 + 332j),
        *("C", 298 + 318j, 296 + 196j, 234 + 172j, "Z"),
    )
    spout = write(
        "M",
        116 + 290j,
        "C",
        84 + 278j,
        86 + 218j,
        44 + 198j,
        "L",
        66 + 182j,
        "C",
        98 + 196j,
        104 + 214j,
        122 + 222j,
        "Z",
    )
    handle = write("M", 272 + 214j, "C", 352 + 186j, 356 + 318j, 268 + 294j)
    return [
        *shadow(192 + 336j, 96),
        *body(spout, clay, (44, 180, 124, 294)),
        Line(path=handle, stroke="#8f6237", width=18),
        Line(path=handle, stroke=WOOD, width=13),
        *body(path, clay, (98, 172, 284, 332), pattern_of(picture, ink, light, (98, 214, 284, 300))),
        Shape(path=ellipse(191 + 174j, 52, 11), fill=ink),
        *_lid(191 + 170j, 48, clay, ink),
    ]


def tetsubin(picture: Picture) -> list[Mark]:
    """An iron kettle under its bow."""
    iron, dark, light = picture.colours
    path = write(
        *("M", 144 + 196j, "C", 92 + 208j, 82 + 262j, 94 + 290j, "C", 104 + 318j, 136 + 332j, 160 + 332j),
        *("L", 232 + 332j, "C", 258 + 332j, 290 + 318j, 300 + 290j, "C", 312 + 262j, 300 + 208j, 248 + 196j, "Z"),
    )
    spout = write("M", 104 + 268j, "C", 84 + 258j, 74 + 236j, 54 + 224j, "L", 72 + 206j, "L", 122 + 222j, "Z")
    bow = write("M", 126 + 212j, "C", 110 + 92j, 284 + 92j, 268 + 212j)
    return [
        *shadow(196 + 336j, 100),
        Line(path=bow, stroke=dark, width=13),
        Line(path=bow, stroke=light, width=3, opacity=0.5),
        *body(spout, iron, (54, 204, 124, 270)),
        *body(path, iron, (88, 196, 306, 332), pattern_of(picture, dark, light, (88, 220, 306, 292))),
        Line(path=write("M", 92 + 296j, "Q", 196 + 316j, 302 + 296j), stroke=dark, width=4),
        Shape(path=ellipse(196 + 198j, 54, 11), fill=dark),
        *_lid(196 + 194j, 50, iron, dark),
    ]


def glasspot(picture: Picture) -> list[Mark]:
    """A pot of glass; the tea is what one sees."""
    tea, glass, edge = picture.colours
    path = write(
        *("M", 146 + 160j, "C", 92 + 204j, 90 + 320j, 152 + 332j, "L", 236 + 332j),
        *("C", 298 + 320j, 296 + 204j, 242 + 160j, "Z"),
    )
    surface = write("M", 84 + 228j, "Q", 194 + 246j, 306 + 228j, "L", 306 + 340j, "L", 84 + 340j, "Z")
    handle = write("M", 274 + 208j, "C", 352 + 186j, 354 + 304j, 272 + 284j)
    spout = write(
        "M",
        112 + 262j,
        "C",
        84 + 250j,
        84 + 212j,
        56 + 192j,
        "L",
        76 + 180j,
        "C",
        98 + 190j,
        108 + 204j,
        122 + 212j,
        "Z",
    )
    leaves = [
        Shape(path=leaf(at, 30, 12, turn), fill="#55702f", opacity=0.85)
        for at, turn in ((150 + 318j, -0.5), (206 + 322j, -2.2), (226 + 300j, 0.2), (176 + 296j, 2.6), (196 + 274j, -1))
    ]
    return [
        *shadow(194 + 336j, 94),
        Line(path=handle, stroke=edge, width=13, opacity=0.85),
        Line(path=handle, stroke=glass, width=7),
        Shape(path=spout, fill=glass),
        Line(path=spout, stroke=edge, width=2.5),
        *body(path, glass, (100, 160, 288, 332), [Shape(path=surface, fill=tea, opacity=0.82), *leaves]),
        Clip(
            path=path, marks=(Line(path=write("M", 84 + 228j, "Q", 194 + 246j, 306 + 228j), stroke="#fff3d8", width=3),)
        ),
        Line(path=path, stroke=edge, width=3.5),
        Shape(path=box(140, 150, 248, 166, 7), fill=edge),
        *_lid(194 + 150j, 46, "#c9a777", "#94683a"),
    ]


def houhin(picture: Picture) -> list[Mark]:
    """A small pot without a handle."""
    clay, dark, light = picture.colours
    path = write(
        *("M", 106 + 208j, "C", 104 + 276j, 134 + 326j, 174 + 330j, "L", 226 + 330j),
        *("C", 266 + 326j, 296 + 276j, 294 + 208j, "Z"),
    )
    lip = write("M", 120 + 250j, "Q", 88 + 232j, 74 + 198j, "L", 122 + 206j, "Z")
    return [
        *shadow(200 + 336j, 78),
        *body(lip, clay, (74, 196, 124, 252)),
        *body(path, clay, (106, 208, 294, 330), pattern_of(picture, light, dark, (100, 204, 300, 316))),
        *mouth(200 + 208j, 94, 20, dark, "#4c5f5a"),
        *_lid(200 + 204j, 78, clay, dark),
    ]
