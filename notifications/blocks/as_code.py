"""As code: blocks become a body of MJML that says the same, one way. Their texts stand in it, escaped."""

import re
from collections.abc import Mapping
from html import escape, unescape

from notifications.blocks.block import BLOCKS
from notifications.blocks.compiled import Slot, compiled
from notifications.blocks.words import address, has_variables, linked, marked
from notifications.templates.template import SUFFIX
from notifications.templates.texts import source_of, texts_of

PLAIN = "plain"
"""The text of the front matter that is the plain text of the mail."""
_code = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})", re.DOTALL)
_written = re.compile(r"\{\{ written\[\"([^\"]+)\"\] \}\}")
_named = re.compile(r"\{% if written\[\"([^\"]+)\"\] %\}")


def as_code(files: Mapping[str, str], name: str, locale: str) -> dict[str, str]:
    """The files with a language's blocks as code. Raises RenderError where the blocks cannot be read."""
    made, file = compiled(files, name, locale), f"{locale}{SUFFIX}"
    texts = texts_of(files[file], f"{name}/{file}")
    body = _inlined(made.body, made.slots, html=True)
    front = {**texts.front, PLAIN: _inlined(made.text, made.slots, html=False)}
    others = {one: text for one, text in files.items() if one != f"{locale}{BLOCKS}"}
    return {**others, file: source_of(front, body + "\n")}


def _inlined(source: str, slots: Mapping[str, Slot], *, html: bool) -> str:
    """The Jinja of a page with its texts in it."""
    asked = _named.sub(lambda found: f"{{% if {_truth(slots[found[1]])} %}}", source)
    return _written.sub(lambda found: _text(slots[found[1]], html=html), asked)


def _truth(slot: Slot) -> str:
    """A condition in Jinja: whether a text says anything. Of a variable alone, whether it has a value."""
    alone = re.fullmatch(r"\{\{\s*([a-z_.]+)\s*\}\}", slot.source.strip())
    says = slot.source.strip() or slot.form == "address"
    return alone[1] if alone else ("true" if says else "false")


def _text(slot: Slot, *, html: bool) -> str:
    if slot.form == "code":
        return slot.source if html else ""
    source = marked(slot.source) if slot.form == "words" else slot.source
    if slot.form == "address" and not has_variables(source):
        source = address(source, "" if slot.field.endswith(".src") else "#")
    parts = _code.split(source.strip())
    made = "".join(part if at % 2 else _literal(part, slot, html=html) for at, part in enumerate(parts))
    return linked.sub(lambda link: _link(link[1], link[2], html=html), made)


def _link(words: str, written: str, *, html: bool) -> str:
    known = written if has_variables(written) else escape(address(unescape(written), "#"))
    if html:
        return f'<a href="{known}">{words}</a>'
    return words if known == "#" else f"{words}: {written}"


def _literal(words: str, slot: Slot, *, html: bool) -> str:
    if not html:
        return words
    return escape(words).replace("\n", "<br />\n" if slot.form == "words" else " ")
