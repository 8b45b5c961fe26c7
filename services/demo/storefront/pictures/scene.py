"""Scene: a product on the shop's table, with its category's colours behind it; as SVG."""

from collections.abc import Callable, Iterable
from functools import cache

from services.demo.storefront.catalogue import Picture, Product, find
from services.demo.storefront.pictures import cups, packages, pots, tools
from services.demo.storefront.pictures.marks import SIDE, Clip, Line, Mark, Shape, box, circle, grown, write

GROUNDS = {
    "green": ("#dfe6d3", "#cfd9be"),
    "black": ("#f1ddc6", "#e5cbab"),
    "herbal": ("#f0e8cd", "#e3d7b2"),
    "cups": ("#dde4e8", "#c9d4da"),
    "pots": ("#ecdcd0", "#dcc6b6"),
    "tools": ("#e6e0d4", "#d5ccbb"),
}
"""The colours of a category's wall and table."""
FORMS: dict[str, Callable[[Picture], list[Mark]]] = {
    form.__name__: form
    for form in (
        *(packages.pouch, packages.caddy, packages.jar, packages.tin),
        *(cups.yunomi, cups.bowl, cups.mug, cups.gaiwan),
        *(pots.kyusu, pots.teapot, pots.tetsubin, pots.glasspot, pots.houhin),
        *(tools.whisk, tools.scoop, tools.strainer, tools.tray, tools.bundle),
    )
}


def draw(product: Product) -> list[Mark]:
    """Everything there is to see, from back to front. KeyError for a form that nobody draws."""
    return [*ground(product.category), *thing(product.picture)]


def thing(picture: Picture) -> list[Mark]:
    """The product alone, standing where the table is."""
    return [grown(mark, picture.size, 200 + 338j) for mark in FORMS[picture.form](picture)]


def ground(category: str) -> list[Mark]:
    """Wall, light and table."""
    wall, table = GROUNDS[category]
    return [
        Shape(path=box(0, 0, SIDE, SIDE), fill=wall),
        Shape(path=circle(200 + 196j, 148), fill="#ffffff", opacity=0.42),
        Shape(path=write("M", 0 + 300j, "L", 400 + 300j, "L", 400 + 400j, "L", 0 + 400j, "Z"), fill=table),
    ]


@cache
def svg(product_id: str) -> bytes | None:
    """A product's picture as an SVG file, drawn once; None where there is no such product."""
    product = find(product_id)
    return to_svg(draw(product)) if product else None


def to_svg(marks: Iterable[Mark], *, wide: int = SIDE, high: int = SIDE) -> bytes:
    """Marks as an SVG file."""
    clips: list[str] = []
    body = "".join(_element(mark, clips) for mark in marks)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
    defined = f"<defs>{''.join(clips)}</defs>" if clips else ""
    return f"{head}{defined}{body}</svg>".encode()


def _element(mark: Mark, clips: list[str]) -> str:
    match mark:
        case Shape():
            return f'<path d="{mark.path}" fill="{mark.fill}"{_seen(mark.opacity)}/>'
        case Line():
            pen = f'stroke="{mark.stroke}" stroke-width="{round(mark.width, 1)}" stroke-linecap="round"'
            return f'<path d="{mark.path}" fill="none" {pen} stroke-linejoin="round"{_seen(mark.opacity)}/>'
        case Clip():
            name = f"c{len(clips)}"
            clips.append(f'<clipPath id="{name}"><path d="{mark.path}"/></clipPath>')
            return f'<g clip-path="url(#{name})">{"".join(_element(one, clips) for one in mark.marks)}</g>'


def _seen(opacity: float) -> str:
    return "" if opacity == 1 else f' opacity="{opacity:.2f}"'
