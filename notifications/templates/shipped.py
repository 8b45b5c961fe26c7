"""Shipped: the layouts that come with Cartmesh, which any template may extend."""

from functools import cache

from notifications.templates import FOLDER
from notifications.templates.template import LAYOUTS


@cache
def shipped_layout(name: str) -> str | None:
    """The text of a layout that comes with Cartmesh, such as `layouts/offer.mjml.j2`; None where there is none."""
    path = (FOLDER / name).resolve()
    if not path.is_relative_to((FOLDER / LAYOUTS).resolve()) or not path.is_file():
        return None
    return path.read_text(encoding="utf-8")
