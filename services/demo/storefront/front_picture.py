"""The picture on the first page, some of the shop's things together on one table; as SVG."""

from functools import cache

from services.demo.storefront.catalogue import find
from services.demo.storefront.pictures.marks import Mark, Shape, box, circle, grown
from services.demo.storefront.pictures.scene import GROUNDS, thing, to_svg

WIDE, HIGH = 720, 560
STOOD = 200 + 338j
"""Where each thing stands on its own picture."""
THINGS = (
    ("tin-cherry", 560 + 398j, 1.1),
    ("sencha-yame-50", 165 + 404j, 1.25),
    ("kyusu-red", 375 + 446j, 1.35),
    ("yunomi-indigo", 590 + 486j, 0.95),
)
"""What stands where, from back to front, and its size beside its own picture (not 1)."""


@cache
def front() -> bytes:
    """The picture, drawn once."""
    wall, table = GROUNDS["pots"]
    marks: list[Mark] = [
        Shape(path=box(0, 0, WIDE, HIGH), fill=wall),
        Shape(path=circle(390 + 250j, 214), fill="#ffffff", opacity=0.42),
        Shape(path=box(0, 372, WIDE, HIGH), fill=table),
    ]
    for product_id, at, size in THINGS:
        product = find(product_id)
        if product is not None:
            about = (at - STOOD * size) / (1 - size)
            marks.extend(grown(mark, size, about) for mark in thing(product.picture))
    return to_svg(marks, wide=WIDE, high=HIGH)
