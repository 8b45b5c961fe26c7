"""Shipped: the templates that come with Cartmesh, and their layouts, which any template may extend."""

from functools import cache

from notifications.templates import FOLDER
from notifications.templates.template import LAYOUTS, SUFFIX, Template, template_of


@cache
def shipped_layout(name: str) -> str | None:
    """The text of a layout that comes with Cartmesh, such as `layouts/offer.mjml.j2`; None where there is none."""
    path = (FOLDER / name).resolve()
    if not path.is_relative_to((FOLDER / LAYOUTS).resolve()) or not path.is_file():
        return None
    return path.read_text(encoding="utf-8")


@cache
def shipped_template(name: str) -> Template | None:
    """A template that comes with Cartmesh; None where there is none of this name."""
    folder = (FOLDER / name).resolve()
    if folder.parent != FOLDER.resolve() or not any(folder.glob(f"*{SUFFIX}")):
        return None
    return template_of(name, {file.name: file.read_text(encoding="utf-8") for file in folder.glob(f"*{SUFFIX}")})
