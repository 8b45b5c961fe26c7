"""Block: one part of a mail's body. A list of them is a file beside the texts of a locale, such as `en.blocks.json`.

Texts may use the variables and filters of `template_vocabulary`, and `[words](address)` for a link. They are rendered
apart from the mail and escaped, so that nothing in them is markup.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from notifications.templates.render_error import RenderError

BLOCKS = ".blocks.json"
"""The end of the name of a file of blocks."""
BRAND = "brand.json"
"""The file of the colours and the font that all blocks of a template have."""
SHARED = "shared/"
"""The folder of the shared blocks that a template contains: `shared/footer/en.blocks.json`."""
MOST = 100
"""How many blocks a mail may have."""
Align = Literal["left", "center", "right"]


class _Block(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """`id` names a block within its list, whatever its place, such as `b3`."""

    id: str


class Heading(_Block, tag="heading"):
    """A line in large letters."""

    text: str = ""
    size: Literal["large", "small"] = "large"
    align: Align = "left"


class Paragraphs(_Block, tag="text"):
    """Paragraphs; lines are broken where they are typed."""

    text: str = ""
    size: Literal["normal", "small"] = "normal"
    align: Align = "left"


class Image(_Block, tag="image"):
    """A picture, `width` pixels wide or as wide as its place (0). `alt` is what it shows, for who cannot see it."""

    src: str = ""
    alt: str = ""
    decorates: bool = False
    href: str = ""
    width: int = 0


class Button(_Block, tag="button"):
    """A link as a button, in the brand's colour or its own."""

    text: str = ""
    href: str = ""
    colour: str = ""


class CartLines(_Block, tag="lines"):
    """The products of the cart or order with their prices, and what they cost together."""

    title: str = ""
    total: str = "Total"
    reduced: str = "With your code"
    more: str = "and {{ more_lines }} more"


class Recommendations(_Block, tag="recommendations"):
    """Products that go well with the cart; nothing where there are none."""

    title: str = ""
    most: Literal[1, 2, 3] = 3


class Coupon(_Block, tag="coupon"):
    """The code in a frame; nothing where the offer has none."""

    label: str = ""
    note: str = ""


class Divider(_Block, tag="divider"):
    """A thin line."""

    colour: str = ""


class Header(_Block, tag="header"):
    """What stands above the sheet, on the colour of the page: the shop's name."""

    text: str = "{{ shop.name }}"


class Footer(_Block, tag="footer"):
    """What stands below the sheet, in small letters: why they get the mail, the link to unsubscribe, the address."""

    text: str = ""


class Code(_Block, tag="mjml"):
    """Sections of MJML with variables; in a column what a column may hold."""

    mjml: str = ""


class Shared(_Block, tag="shared"):
    """A block that many templates share, by its name."""

    name: str = ""


Simple = Heading | Paragraphs | Image | Button | CartLines | Recommendations | Coupon | Divider | Code


class Columns(_Block, tag="columns"):
    """Two or three columns side by side, below each other on a phone."""

    columns: tuple[tuple[Simple, ...], ...] = ((), ())


Block = Simple | Columns | Header | Footer | Shared
TYPES: dict[str, type[_Block]] = {
    kind.__struct_config__.tag: kind  # type: ignore[misc]  msgspec: the tags above are all texts
    for kind in (
        *(Heading, Paragraphs, Image, Button, CartLines, Recommendations),
        *(Coupon, Divider, Columns, Header, Footer, Code, Shared),
    )
}
"""The kinds of blocks by their `type`."""


class Brand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Font and colours (`#rrggbb`) of all blocks: of the page, the sheet on it, words, small words and buttons."""

    font: str = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans JP', Arial, sans-serif"
    page: str = "#f4f1ed"
    sheet: str = "#ffffff"
    ink: str = "#1c1917"
    quiet: str = "#78716c"
    button: str = "#1c1917"
    button_text: str = "#ffffff"


def is_blocks_file(file: str) -> bool:
    """Whether a file is the blocks of a locale, and no shared block."""
    return file.endswith(BLOCKS) and "/" not in file


def decode(text: str, where: str) -> tuple[Block, ...]:
    """The blocks of a file. RenderError with `where` and what is wrong."""
    try:
        blocks = msgspec.json.decode(text, type=tuple[Block, ...])
    except msgspec.MsgspecError as error:
        raise RenderError(where, f"its blocks cannot be read: {error}") from None
    ids = [block.id for block in each(blocks)]
    if len(ids) > MOST:
        raise RenderError(where, f"it has {len(ids)} blocks: {MOST} are the most")
    if len(ids) != len(set(ids)):
        raise RenderError(where, "two of its blocks have the same id")
    return blocks


def encode(blocks: tuple[Block, ...]) -> str:
    """The file of these blocks, with lines that can be compared."""
    return msgspec.json.format(msgspec.json.encode(blocks), indent=2).decode() + "\n"


def brand_of(files: Mapping[str, str], where: str) -> Brand:
    """The brand of a document's files; that of Cartmesh where it has none."""
    if BRAND not in files:
        return Brand()
    try:
        return msgspec.json.decode(files[BRAND], type=Brand)
    except msgspec.MsgspecError as error:
        raise RenderError(f"{where}/{BRAND}", f"it cannot be read: {error}") from None


def each(blocks: tuple[Block, ...]) -> Iterator[Block]:
    """Every block, those in columns behind the columns."""
    for block in blocks:
        yield block
        if isinstance(block, Columns):
            for column in block.columns:
                yield from column


def shared_file(files: Mapping[str, str], name: str, locale: str) -> str | None:
    """The file of a shared block for a language: the locale's, its language's, English, any; None where none is."""
    prefix = f"{SHARED}{name}/"
    there = {file.removeprefix(prefix).removesuffix(BLOCKS): file for file in files if file.startswith(prefix)}
    wanted = (locale, locale.partition("-")[0], "en", *sorted(there))
    return next((there[one] for one in wanted if one in there), None)
