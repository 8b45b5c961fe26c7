"""Block form: what a browser sends of a list of blocks, in their order, and what a button of the list does to it.

Each block begins with a field `block`: its id and type. Columns have one more for each column, and one for their end.
"""

import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from litestar.exceptions import ClientException

from notifications.blocks.beginnings import beginning
from notifications.blocks.block import MOST, TYPES, Block, Brand, Columns, Simple, each
from notifications.blocks.moving import added, moved, nest, removed

HAS = "blocks"
"""The field of a form whose body is blocks."""
BRAND_FIELD = "brand."
"""What the name of a field begins with that holds a part of the brand."""
is_id = re.compile(r"b[0-9]{1,6}", re.ASCII).fullmatch


def has_blocks(sent: Mapping[str, Any]) -> bool:
    """Whether a form's body is blocks."""
    return HAS in sent


def blocks_sent(sent: Mapping[str, Any], kind: str) -> tuple[Block, ...]:
    """The blocks of a form after what its button does. ClientException (422) for what no page of ours sends."""
    blocks = _typed(sent)
    do, _, which = str(sent.get("do", "")).partition(" ")
    if do == "add":
        return _with_new(blocks, sent, kind)
    if do in ("up", "down"):
        return moved(blocks, which, up=do == "up")
    if do == "remove":
        return removed(blocks, which)
    return blocks


def brand_sent(sent: Mapping[str, Any]) -> str | None:
    """The file of a brand of a form that has its fields; None where it has none."""
    if f"{BRAND_FIELD}page" not in sent:
        return None
    values = {name: plain(sent.get(f"{BRAND_FIELD}{name}", "")).strip() for name in Brand.__struct_fields__}
    brand = Brand(**{name: value for name, value in values.items() if value})
    return msgspec.json.format(msgspec.json.encode(brand), indent=2).decode() + "\n"


def plain(value: Any) -> str:
    """A field's text. Browsers end lines with two characters."""
    return str(value).replace("\r\n", "\n").replace("\r", "\n")


def _typed(sent: Mapping[str, Any]) -> tuple[Block, ...]:
    rows: list[Block | tuple[str, str]] = []
    for entry in _all(sent, "block"):
        which, _, kind = entry.partition(" ")
        if not is_id(which):
            raise _unknown(f"a block named {which[:20]!r}")
        if kind in ("columns", "column", "end"):
            rows.append((kind, which))
        elif kind in TYPES:
            rows.append(_block(which, kind, sent))
        else:
            raise _unknown(f"a block of the type {kind[:20]!r}")
    try:
        blocks = nest(rows)
    except ValueError as error:
        raise _unknown(str(error)) from None
    ids = [one.id for one in each(blocks)]
    if len(ids) != len(set(ids)):
        raise _unknown("a block twice")
    if len(ids) > MOST:
        raise ClientException(f"A mail has {MOST} blocks at most", status_code=422)
    return blocks


def _block(which: str, kind: str, sent: Mapping[str, Any]) -> Block:
    """A block of the fields that were sent; a choice that there is not is the first one."""
    values: dict[str, Any] = {}
    made = TYPES[kind]
    for field, hint in get_type_hints(made).items():
        name = f"{which}.{field}"
        if hint is bool:
            values[field] = name in sent
        elif field == "id" or name not in sent:
            continue
        elif get_origin(hint) is None and hint is int:
            written = str(sent[name]).strip()
            values[field] = int(written) if written.isdecimal() and len(written) < 6 else 0
        elif hint is str:
            values[field] = plain(sent[name])
        else:
            found = next((one for one in get_args(hint) if str(one) == str(sent[name])), None)
            values |= {} if found is None else {field: found}
    return made(id=which, **values)  # type: ignore[return-value]  the union of all types


def _with_new(blocks: tuple[Block, ...], sent: Mapping[str, Any], kind: str) -> tuple[Block, ...]:
    wanted, where = str(sent.get("add-type", "")), str(sent.get("add-where", ""))
    if wanted.partition(" ")[0] not in TYPES:
        raise _unknown(f"a block of the type {wanted[:20]!r}")
    if sum(1 for _ in each(blocks)) >= MOST:
        raise ClientException(f"A mail has {MOST} blocks at most", status_code=422)
    number = max((int(one.id[1:]) for one in each(blocks)), default=0) + 1
    block = beginning(wanted, number, kind)
    return added(blocks, block, where, allowed=isinstance(block, Simple) and not isinstance(block, Columns))


def _all(sent: Mapping[str, Any], name: str) -> list[str]:
    many = getattr(sent, "getall", None)
    return [str(one) for one in (many(name, []) if many else sent.get(name, []))]


def _unknown(what: str) -> ClientException:
    return ClientException(f"The form has {what}: load the page again", status_code=422)
