"""Templates as documents: a folder each, with a file per locale and the layouts that are its own."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.events.block import BlockPublished
from mesh.events.template import TemplatePublished
from notifications.blocks.block import BLOCKS, is_blocks_file
from notifications.blocks.problems import check_blocks
from notifications.documents.kind import Files, Kind
from notifications.templates.folder import read, read_folder
from notifications.templates.front_matter import BLOCK, front_matter
from notifications.templates.render_error import RenderError
from notifications.templates.template import LAYOUTS, SUFFIX, is_locale_file, template_of

if TYPE_CHECKING:
    from notifications.render_pool import RenderPool

_LOCALE = r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*"
is_file = re.compile(
    rf"{_LOCALE}\.mjml\.j2|layouts/[a-z0-9-]+\.[a-z]+\.j2|brand\.json|(shared/[a-z0-9-]{{1,48}}/)?{_LOCALE}\.blocks\.json",
    re.ASCII,
).fullmatch


def _check(name: str, files: Files, *, of_block: bool) -> None:
    """Refuse wrong file names and front matter; what a file renders is not known from this."""
    what = "shared block" if of_block else "template"
    if wrong := [file for file in files if not is_file(file)]:
        allowed = f"name a file after its locale, such as de-AT{SUFFIX}, and a layout {LAYOUTS}offer{SUFFIX}"
        raise DeclarationError(f"{what} {name}: {', '.join(wrong)}: {allowed}")
    locales = [file for file in files if is_locale_file(file)]
    if not locales:
        raise DeclarationError(f"{what} {name}: it needs a file for at least one locale, such as en{SUFFIX}")
    for file in locales:
        try:
            front_matter(files[file], f"{name}/{file}")
            check_blocks(name, files, file.removesuffix(SUFFIX))
        except RenderError as error:
            raise DeclarationError(f"{what} {error.where}: {error}") from None
    alone = [file for file in files if is_blocks_file(file) and f"{file.removesuffix(BLOCKS)}{SUFFIX}" not in files]
    if alone:
        raise DeclarationError(f"{what} {name}: {', '.join(alone)}: there is no file of texts beside it")

    kinds = {front_matter(files[file], f"{name}/{file}")["kind"] == BLOCK for file in locales}
    if kinds != {of_block}:
        words = "a shared block has" if of_block else "a template has not"
        raise DeclarationError(f'{what} {name}: {words} kind = "block" in the texts of each language')


def _check_template(name: str, files: Files) -> None:
    _check(name, files, of_block=False)


def _check_block(name: str, files: Files) -> None:
    _check(name, files, of_block=True)


async def _verify(name: str, files: Files, mesh: Mesh) -> None:  # noqa: ARG001  a template needs nothing of the mesh
    """Refuse a template that cannot be rendered with every kind of sample offer, in each of its locales."""
    from mesh.settings import read as read_settings  # noqa: PLC0415  only who publishes renders here
    from notifications.render_pool import RenderSettings, open_render_pool  # noqa: PLC0415

    async with open_render_pool(read_settings(RenderSettings)) as pool:
        await _render(name, files, pool)


async def _render(name: str, files: Files, pool: "RenderPool") -> None:
    from notifications.templates.trial import render_samples  # noqa: PLC0415  only who publishes renders here

    await render_samples(template_of(name, files), pool)


TEMPLATES = Kind(
    name="template",
    published=TemplatePublished,
    read=read,
    read_folder=read_folder,
    check=_check_template,
    verify=_verify,
)
SHARED_BLOCKS = Kind(
    name="block",
    published=BlockPublished,
    read=read,
    read_folder=lambda _: {},
    check=_check_block,
    verify=_verify,
)
"""Blocks that many templates contain. Each is written like a template, whose mail is the block alone."""


def rendered_by(pool: "RenderPool", kind: Kind = TEMPLATES) -> Kind:
    """The same kind, for a process that has render workers: none are started to verify a template."""

    async def verify(name: str, files: Files, mesh: Mesh) -> None:  # noqa: ARG001  a template needs nothing of the mesh
        await _render(name, files, pool)

    return replace(kind, verify=verify)
