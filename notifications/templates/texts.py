"""Texts: a template's file as the fields of a form, and the file that they make."""

import json
import re
import tomllib
from collections.abc import Mapping

import msgspec

from notifications.templates.front_matter import front_matter

is_bare = re.compile(r"[A-Za-z0-9_-]+", re.ASCII).fullmatch
CARD = "card."


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of the front matter in their order, those of the card as `card.title`; the body; its first line."""

    front: dict[str, str]
    body: str
    body_line: int = 1
    """The line of the file on which the body begins."""


def texts_of(source: str, name: str) -> Texts:
    """A file's texts. RenderError where the front matter is wrong."""
    kind = front_matter(source, name)["kind"]
    head, _, body = source[4:].partition("\n+++\n")
    front = {key: text for key, text in tomllib.loads("\n" + head).items() if key != "card"}
    if "kind" in front:
        front["kind"] = kind
    card = tomllib.loads("\n" + head).get("card", {})
    return Texts(
        front={**front, **{f"{CARD}{key}": text for key, text in card.items()}},
        body=body,
        body_line=head.count("\n") + 4,
    )


def source_of(front: Mapping[str, str], body: str) -> str:
    """The file of these texts. Comments that a file had in its front matter are not among them."""
    plain = [f"{_key(key)} = {_text(text)}" for key, text in front.items() if not key.startswith(CARD)]
    card = [f"{_key(key.removeprefix(CARD))} = {_text(text)}" for key, text in front.items() if key.startswith(CARD)]
    head = "\n".join([*plain, *(["", "[card]", *card] if card else [])])
    return f"+++\n{head}\n+++\n{body}"


def _key(key: str) -> str:
    return key if is_bare(key) else _text(key)


def _text(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON, and one more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
