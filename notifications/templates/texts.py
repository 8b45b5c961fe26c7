"""Texts: a template's file as the fields of a form, and the file that they make."""

import json
import re
import tomllib
from collections.abc import Mapping

import msgspec

from notifications.templates.front_matter import TABLES, front_matter

is_bare = re.compile(r"[A-Za-z0-9_-]+", re.ASCII).fullmatch


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of the front matter in their order, those of tables as `card.title`; the body; its first line."""

    front: dict[str, str]
    body: str
    body_line: int = 1
    """The line of the file on which the body begins."""


def texts_of(source: str, name: str) -> Texts:
    """A file's texts. RenderError where the front matter is wrong."""
    kind = front_matter(source, name)["kind"]
    head, _, body = source[4:].partition("\n+++\n")
    read = tomllib.loads("\n" + head)
    front = {key: text for key, text in read.items() if key not in TABLES}
    if "kind" in front:
        front["kind"] = kind
    of_tables = {f"{table}.{key}": text for table in TABLES for key, text in read.get(table, {}).items()}
    return Texts(
        front={**front, **of_tables},
        body=body,
        body_line=head.count("\n") + 4,
    )


def source_of(front: Mapping[str, str], body: str) -> str:
    """The file of these texts. Comments that a file had in its front matter are not among them."""
    lines = [f"{_key(key)} = {_text(text)}" for key, text in front.items() if _table(key) is None]
    for table in TABLES:
        own = {key.removeprefix(f"{table}."): text for key, text in front.items() if _table(key) == table}
        if own:
            lines += ["", f"[{table}]", *(f"{_key(key)} = {_text(text)}" for key, text in own.items())]
    head = "\n".join(lines)
    return f"+++\n{head}\n+++\n{body}"


def _table(key: str) -> str | None:
    """The table that a text is in; None for the mail's own."""
    return next((table for table in TABLES if key.startswith(f"{table}.")), None)


def _key(key: str) -> str:
    return key if is_bare(key) else _text(key)


def _text(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON, and one more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
