"""Problems: what is wrong with a list of blocks in itself, with the block and its field."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from notifications.blocks.block import (
    BLOCKS,
    SHARED,
    Block,
    Brand,
    Button,
    Columns,
    Footer,
    Header,
    Heading,
    Image,
    Paragraphs,
    Shared,
    brand_of,
    decode,
    each,
    shared_file,
)
from notifications.blocks.markup import is_font
from notifications.blocks.words import address, has_variables, is_colour, links_in
from notifications.templates.front_matter import body_of
from notifications.templates.render_error import RenderError
from notifications.templates.template import SUFFIX

LONGEST = 20_000
"""Characters of one text of a block."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """`refused`: it cannot be saved; `error`: shoppers would see it wrong; `warning`: some would."""

    level: Literal["refused", "error", "warning"]
    block: str
    field: str
    words: str


def problems(blocks: tuple[Block, ...]) -> Iterator[Problem]:
    """What is wrong with each block."""
    for block in each(blocks):
        for field in block.__struct_fields__:
            value = getattr(block, field)
            if isinstance(value, str) and len(value) > LONGEST:
                words = f"{len(value):,} characters: {LONGEST:,} are the most"
                yield Problem(level="refused", block=block.id, field=field, words=words)
            if field == "colour" and value and not is_colour(value):
                words = f"“{value[:40]}” is no colour: write one such as #1c1917, or nothing for the brand's"
                yield Problem(level="refused", block=block.id, field=field, words=words)
            if field == "href" and not (isinstance(block, Image) and not value.strip()):
                yield from _link(block, field, value)
        if isinstance(block, Paragraphs | Heading | Header | Footer):
            for link in links_in(block.text):
                yield from _link(block, "text", link)
        yield from _of_its_kind(block)


def _link(block: Block, field: str, written: str) -> Iterator[Problem]:
    if has_variables(written):
        return  # what becomes of it is known when it is rendered
    if not written.strip():
        words = "It leads nowhere: give it an address that begins with https://, or a variable such as {{ cart_url }}."
    elif address(written, ""):
        return
    else:
        words = f"The link “{written[:80]}” leads nowhere: give it an address that begins with https://."
    yield Problem(level="error", block=block.id, field=field, words=words)


def _of_its_kind(block: Block) -> Iterator[Problem]:
    if isinstance(block, Image):
        if not has_variables(block.src) and not address(block.src, "").startswith("http"):
            words = "There is no picture: give it an address that begins with https://."
            yield Problem(level="error", block=block.id, field="src", words=words)
        if not block.alt.strip() and not block.decorates:
            words = "A picture has no text for who cannot see it: describe it, or say that it only decorates."
            yield Problem(level="warning", block=block.id, field="alt", words=words)
    if isinstance(block, Button) and not block.text.strip():
        yield Problem(level="error", block=block.id, field="text", words="A button needs words.")
    if isinstance(block, Columns) and not 1 <= len(block.columns) <= 3:
        words = f"{len(block.columns)} columns: there may be 1 to 3"
        yield Problem(level="refused", block=block.id, field="columns", words=words)


def brand_problem(brand: Brand) -> str:
    """What is wrong with the brand; empty where nothing is."""
    if not is_font(brand.font):
        return "font: letters, digits, spaces, commas, quotes and dashes only, such as Georgia, serif"
    wrong = [name for name in brand.__struct_fields__ if name != "font" and not is_colour(getattr(brand, name))]
    return f"{wrong[0]}: write a colour such as #1c1917" if wrong else ""


def check_blocks(name: str, files: Mapping[str, str], locale: str) -> None:
    """Refuse blocks that cannot be, and a body of both blocks and code. RenderError says where."""
    file = f"{locale}{BLOCKS}"
    if file not in files:
        return
    if body_of(files[f"{locale}{SUFFIX}"]).strip():
        raise RenderError(
            f"{name}/{locale}{SUFFIX}", f"its body is code, and {file} is there: a body is either code or blocks"
        )
    blocks = decode(files[file], f"{name}/{file}")
    if wrong := brand_problem(brand_of(files, name)):
        raise RenderError(f"{name}/brand.json", wrong)
    _refuse(blocks, f"{name}/{file}")
    for block in blocks:
        if isinstance(block, Shared) and (shared := shared_file(files, block.name, locale)):
            _refuse(decode(files[shared], f"{name}/{shared}"), f"{name}/{shared}")
        elif isinstance(block, Shared):
            raise RenderError(f"{name}/{file} [{block.id}.name]", f"there is no shared block {SHARED}{block.name}")


def _refuse(blocks: tuple[Block, ...], where: str) -> None:
    for one in problems(blocks):
        if one.level == "refused":
            raise RenderError(f"{where} [{one.block}.{one.field}]", one.words)
