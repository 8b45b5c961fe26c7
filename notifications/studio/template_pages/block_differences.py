"""Block differences: what changed between two lists of blocks, in sentences."""

from difflib import SequenceMatcher

from notifications.blocks.block import Block, Columns, decode, each
from notifications.blocks.moving import flat
from notifications.studio.template_pages.block_fields import FIELDS, NAMES
from notifications.studio.template_pages.block_list import name, rows, type_of
from notifications.templates.render_error import RenderError

SHOWN = 120
"""Characters of a text that are shown."""


def block_sentences(before: str, after: str) -> list[str] | None:
    """What was added, removed, moved and changed. None where one of the two cannot be read."""
    try:
        old, new = decode(before or "[]", ""), decode(after or "[]", "")
    except RenderError:
        return None
    olds, news = ({one.id: one for one in each(blocks)} for blocks in (old, new))
    numbers = {row.id: row.number for row in rows(new) if row.kind not in ("column", "end")}
    found = [f"Removed: {name(one)}." for which, one in olds.items() if not _same(one, news.get(which))]
    moved = _moved(old, new)
    for which, block in news.items():
        was = olds.get(which)
        if not _same(block, was) or was is None:
            found.append(f"Added as {numbers[which]}: {name(block)}{_said(block)}.")
            continue
        if which in moved:
            found.append(f"Moved to {numbers[which]}: {name(block)}.")
        found += _changes(was, block, numbers[which])
    return found


def _same(one: Block, other: Block | None) -> bool:
    """Whether both are one block: an id is given again when its block was removed."""
    return type(one) is type(other)


def _changes(was: Block, block: Block, number: str) -> list[str]:
    kind, found = type_of(block), []
    named = {field.name: field.label.lower() for field in FIELDS[kind]}
    for field in block.__struct_fields__:
        old, new = getattr(was, field), getattr(block, field)
        if old != new and field not in ("id", "columns"):
            words = f"{number}. {NAMES[kind]}: {named.get(field, field)} was {_shown(old)}, is {_shown(new)}."
            found.append(words)
    if isinstance(was, Columns) and isinstance(block, Columns) and len(was.columns) != len(block.columns):
        found.append(f"{number}. Columns: there were {len(was.columns)}, there are {len(block.columns)}.")
    return found


def _moved(old: tuple[Block, ...], new: tuple[Block, ...]) -> set[str]:
    """Which blocks stand elsewhere: the fewest that must have moved."""
    before, after = _order(old), _order(new)
    both = {which for which, _ in before} & {which for which, _ in after}
    kept_before = [one for one in before if one[0] in both]
    kept_after = [one for one in after if one[0] in both]
    same = SequenceMatcher(a=kept_before, b=kept_after, autojunk=False).get_matching_blocks()
    stayed = {kept_after[at.b + step][0] for at in same for step in range(at.size)}
    return both - stayed


def _order(blocks: tuple[Block, ...]) -> list[tuple[str, str]]:
    """Each block with the column in which it stands."""
    found: list[tuple[str, str]] = []
    place, column = "", 0
    for row in flat(blocks):
        if not isinstance(row, tuple):
            found.append((row.id, place))
        elif row[0] == "columns":
            found.append((row[1], ""))
            column = 0
        elif row[0] == "column":
            column += 1
            place = f"{row[1]} {column}"
        else:
            place = ""
    return found


def _said(block: Block) -> str:
    href = getattr(block, "href", "")
    return f", which leads to {_shown(href)}" if href else ""


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    words = " ".join(str(value).split())
    return f"“{words[:SHOWN]}{'…' if len(words) > SHOWN else ''}”" if words else "empty"
