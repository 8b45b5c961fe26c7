"""Words: the text of a block becomes HTML and plain text, its values escaped and its links checked.

Links `[words](address)` are marked before values are filled in, by signs that no value may hold: a shopper's name
cannot make a link.
"""

import re
from html import escape, unescape

OPEN, MIDDLE, CLOSE = "\ue000", "\ue001", "\ue002"
"""Signs of the private use area that stand for `[`, `](` and `)`."""
SCHEMES = ("https://", "http://", "mailto:", "tel:", "sms:")
_signs = str.maketrans("", "", OPEN + MIDDLE + CLOSE)
_CODE = r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}"
_link = re.compile(
    rf"{_CODE}|\[(?P<words>(?:\{{\{{[^{{}}]*\}}\}}|[^\[\]{{}}\n])+)\]"
    r"\((?P<address>\{\{[^{}]*\}\}|[^\s(){}]*)\)",
    re.DOTALL,
)
linked = re.compile(f"{OPEN}([^{OPEN}{MIDDLE}{CLOSE}]*){MIDDLE}([^{OPEN}{MIDDLE}{CLOSE}]*){CLOSE}")
"""A link whose parts are marked."""
is_colour = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})", re.ASCII).fullmatch
has_variables = re.compile(r"\{\{|\{%").search


def without_signs(value: object) -> object:
    """A value as a text may hold it."""
    return value.translate(_signs) if isinstance(value, str) else value


def marked(source: str) -> str:
    """A block's text, its links marked. What stands in braces stays."""

    def mark(found: re.Match[str]) -> str:
        if found["words"] is None:
            return found[0]
        return f"{OPEN}{found['words']}{MIDDLE}{found['address']}{CLOSE}"

    return _link.sub(mark, source.translate(_signs))


def links_in(source: str) -> list[str]:
    """The addresses of a text's links, as they are written."""
    return [found["address"] for found in _link.finditer(source) if found["words"] is not None]


def address(written: str, otherwise: str) -> str:
    """A link that mail programs may open, else `otherwise`."""
    found = written.strip()
    return found if found.startswith(SCHEMES) and not re.search(r"[\s<>\"']", found) else otherwise


def as_html(rendered: str, otherwise: str) -> str:
    """HTML of a text that was rendered plain: escaped, with links and line breaks. A wrong link is `otherwise`."""
    found = linked.sub(
        lambda link: f'<a href="{escape(address(unescape(link[2]), otherwise))}">{link[1]}</a>',
        escape(rendered.strip()),
    )
    return found.translate(_signs).replace("\n", "<br />")


def as_text(rendered: str) -> str:
    """The same as plain text, links behind their words."""
    found = linked.sub(
        lambda link: f"{link[1]}: {link[2]}" if address(link[2], "") else link[1],
        rendered.strip(),
    )
    return found.translate(_signs)
