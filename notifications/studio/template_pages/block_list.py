"""Block list: a mail's blocks as the editor shows them, each with its fields, its place and its name in words."""

from collections.abc import Callable
from typing import Any

import msgspec

from notifications.blocks.block import BRAND, Block, Columns, brand_of, decode, each
from notifications.blocks.moving import flat
from notifications.studio.template_pages.block_fields import ADDED, FIELDS, NAMES, Field
from notifications.studio.template_pages.edited import Edited, Source
from notifications.studio.template_pages.labels import label


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list: a block, or of columns their beginning, one of them, or their end (`kind`).

    `number` is the block's place, such as 4 or 4.2.1.
    """

    kind: str
    id: str
    number: str = ""
    name: str = ""
    block: Block | None = None
    fields: tuple[Field, ...] = ()


def blocks_shown(source: Source, edited: Edited, kind: str) -> dict[str, Any]:
    """What the page shows of blocks: their rows, what may be added, and where."""
    blocks = None if source.blocks is None else decode(source.blocks, "the draft")
    shown = {"label": labels(source), "blocks": None, "places": [], "types": [], "shared_blocks": sorted(edited.shared)}
    shown["brand"] = brand_of({BRAND: source.brand}, edited.name) if source.brand is not None else None
    if blocks is None:
        return shown
    named = {one.id: name(one) for one in each(blocks)}
    places = [(f"above {one.id}", f"above {at}. {named[one.id]}") for at, one in enumerate(blocks, 1)]
    inside = [
        (f"in {one.id} {column}", f"in column {column + 1} of {at}. Columns")
        for at, one in enumerate(blocks, 1)
        if isinstance(one, Columns)
        for column in range(len(one.columns))
    ]
    types = [(one, words) for one, words in NAMES.items() if one in ADDED[kind]]
    types += [(f"shared {one}", f"Shared: {one}") for one in sorted(edited.shared) if one != "brand"]
    return {**shown, "blocks": rows(blocks), "places": [("end", "at the end"), *places, *inside], "types": types}


def rows(blocks: tuple[Block, ...]) -> list[Row]:
    """The rows of a list."""
    found: list[Row] = []
    top = column = inner = 0
    inside = False
    for row in flat(blocks):
        if isinstance(row, tuple):
            kind, which = row
            if kind == "columns":
                top, column, inside = top + 1, 0, True
            elif kind == "column":
                column, inner = column + 1, 0
            else:
                inside = False
            number = str(top) if kind == "columns" else f"{top}.{column}"
            found.append(Row(kind=kind, id=which, number=number, name="Columns"))
            continue
        if inside:
            inner += 1
        else:
            top += 1
        number = f"{top}.{column}.{inner}" if inside else str(top)
        kind = type_of(row)
        found.append(Row(kind=kind, id=row.id, number=number, name=name(row), block=row, fields=FIELDS[kind]))
    return found


def name(block: Block) -> str:
    """What a block is called: its type, and what it says first."""
    said = next((getattr(block, field) for field in ("text", "title", "label", "alt") if hasattr(block, field)), "")
    said = f"shared: {block.name}" if hasattr(block, "name") else " ".join(said.split())
    short = f"{said[:32].rstrip()}…" if len(said) > 33 else said
    return f"{NAMES[type_of(block)]}{f' “{short}”' if short else ''}"


def labels(source: Source) -> Callable[[str], str]:
    """What the place of a finding is called: `b3.href` is *3. Button, link*; a text has its label."""
    if source.blocks is None:
        return label
    found = {row.id: row for row in rows(decode(source.blocks, "the form")) if row.kind not in ("column", "end")}

    def named(text: str) -> str:
        which, _, field = text.partition(".")
        if which not in found:
            return label(text)
        row = found[which]
        words = next((one.label.lower() for one in row.fields if one.name == field), field)
        return f"{row.number}. {NAMES.get(row.kind, row.name)}, {words}"

    return named


def type_of(block: Block) -> str:
    """The type of a block, such as `button`."""
    return str(type(block).__struct_config__.tag)
