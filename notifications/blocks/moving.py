"""Moving: a list of blocks after one of them was moved, added or removed, into columns and out of them too."""

from collections.abc import Sequence

from notifications.blocks.block import Block, Columns, Simple

Row = Block | tuple[str, str]
"""A block; or of columns their beginning, that of one column, or their end, as (`columns` | `column` | `end`, id)."""


def flat(blocks: Sequence[Block]) -> list[Row]:
    """The blocks in the order in which a page shows them."""
    rows: list[Row] = []
    for block in blocks:
        if not isinstance(block, Columns):
            rows.append(block)
            continue
        rows.append(("columns", block.id))
        for column in block.columns:
            rows += [("column", block.id), *column]
        rows.append(("end", block.id))
    return rows


def nest(rows: Sequence[Row]) -> tuple[Block, ...]:
    """The blocks of such rows. ValueError for columns that do not end, or hold what columns may not."""
    found: list[Block] = []
    columns: list[list[Simple]] | None = None
    for row in rows:
        if isinstance(row, tuple):
            kind, which = row
            if (kind == "columns") != (columns is None):
                raise ValueError("columns within columns, or without their beginning")
            if kind == "columns":
                columns = []
            elif kind == "column" and columns is not None:
                columns.append([])
            elif columns is not None:
                found.append(Columns(id=which, columns=tuple(tuple(one) for one in columns)))
                columns = None
        elif columns is None:
            found.append(row)
        elif columns and isinstance(row, Simple):
            columns[-1].append(row)
        else:
            raise ValueError("a block in columns that may not be there")
    if columns is not None:
        raise ValueError("columns that do not end")
    return tuple(found)


def moved(blocks: tuple[Block, ...], which: str, *, up: bool) -> tuple[Block, ...]:
    """With a block one place up or down. What columns may hold moves into them and out of them."""
    top = next((at for at, one in enumerate(blocks) if one.id == which), None)
    if top is not None and not isinstance(blocks[top], Simple):
        other = top + (-1 if up else 1)
        return _swapped(blocks, top, other) if 0 <= other < len(blocks) else blocks
    rows = flat(blocks)
    rows = rows if up else rows[::-1]
    at = next((at for at, one in enumerate(rows) if not isinstance(one, tuple) and one.id == which), 0)
    if at == 0:
        return blocks
    row = rows.pop(at)
    # Between the beginning of columns and their first column there is no place.
    before, further = _kind(rows[at - 1]), _kind(rows[at - 2]) if at > 1 else ""
    over = 2 if (before, further) == ("column", "columns") or (not up and before == "columns") else 1
    rows.insert(max(at - over, 0), row)
    try:
        return nest(rows if up else rows[::-1])
    except ValueError:
        return blocks  # columns without a column


def removed(blocks: tuple[Block, ...], which: str) -> tuple[Block, ...]:
    """Without a block, and without those in it where it is columns."""
    outer = tuple(one for one in blocks if one.id != which)
    return nest([row for row in flat(outer) if isinstance(row, tuple) or row.id != which])


def added(blocks: tuple[Block, ...], block: Block, where: str, *, allowed: bool) -> tuple[Block, ...]:
    """With a new block: `above b3`, `in b4 1` (a column, from 0) where it is `allowed` there, else at the end."""
    place, _, which = where.partition(" ")
    if place == "in" and allowed:
        wanted, _, number = which.partition(" ")
        return tuple(
            Columns(
                id=one.id,
                columns=tuple(
                    (*column, block) if str(at) == number else column  # type: ignore[misc]  allowed says that it is simple
                    for at, column in enumerate(one.columns)
                ),
            )
            if isinstance(one, Columns) and one.id == wanted
            else one
            for one in blocks
        )
    at = next((at for at, one in enumerate(blocks) if place == "above" and one.id == which), len(blocks))
    return (*blocks[:at], block, *blocks[at:])


def _swapped(blocks: tuple[Block, ...], one: int, other: int) -> tuple[Block, ...]:
    changed = list(blocks)
    changed[one], changed[other] = changed[other], changed[one]
    return tuple(changed)


def _kind(row: Row) -> str:
    return row[0] if isinstance(row, tuple) else ""
