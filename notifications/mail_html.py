"""Mail HTML: MJML becomes HTML with its style inlined. Mails that differ in words and addresses alone cost that once.

MJML and the inlining of style take words between tags, and addresses, through as they are. So the HTML of an MJML is
kept as an outline with a place for each of them, and the next mail fills in its own. Words with signs that HTML writes
in another way in some places, such as `<`, belong to the outline. An outline is used only after it made the same HTML
as the long way.
"""

import re
from collections import OrderedDict
from html import escape, unescape

import css_inline
from mjml import mjml2html

from notifications.templates.render_error import RenderError

KEPT = 256
"""How many outlines are kept, of some 40 kB each."""
SIGN = "cmplace"
PLACE = SIGN + "{}x"
"""What stands for a word in an outline: letters, as MJML writes other signs in another way in some places."""
TITLE = PLACE.format("title")
_SIGNS = r"(?:[^\s<>&\"{}]++|&amp;|&#39;)++"
_words = re.compile(
    rf'(>[ \n]*+|"(?:(?<= href=")|(?<= src=")))({_SIGNS}(?:[ \n\xa0]++{_SIGNS})*+)(?=[ \n]*+<|")',
)
"""What is before words, and the words: between two tags, or an address. None of a style sheet, which has braces."""
_place = re.compile(PLACE.format("([0-9]+)"))
_title = re.compile(r"<mj-title>((?:[^<>&]|&#?[a-zA-Z0-9]+;)*+)</mj-title>")
_element = re.compile(r"<([^\s/>]+)")
_NAMES = (
    "mjml mj-head mj-title mj-preview mj-attributes mj-all mj-style mj-body mj-wrapper mj-section mj-column mj-text "
    "mj-button mj-divider mj-spacer mj-image mj-table a b strong i em u s small br span div p h1 h2 h3 h4 ul ol li "
    "table tbody tr th td img"
)
ELEMENTS = frozenset(_NAMES.split())
"""Those that take words through. Where there is another one, or a comment, no outline is made."""
_by_address = re.compile(r"<mj-style[^>]*>[^<]*\[")
"""A style that may depend on an address."""
_in_sheet = re.compile(rf"<style[^>]*>[^<]*{PLACE.format('[0-9]')}")
_control = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What XML may not hold: shoppers and catalogues do."""
_CONTROLS = bytes(at for at in range(32) if _control.match(chr(at)))
_inliner = css_inline.CSSInliner(keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False)


class MailHtml:
    """Makes HTML of MJML, and keeps the outlines of what came twice."""

    def __init__(self) -> None:
        self._outlines: OrderedDict[str, list[str] | None] = OrderedDict()

    def of(self, mjml: str, path: str) -> str:
        """The same HTML as of `html_of`. Raises RenderError, which names `path`."""
        if SIGN in mjml:
            return html_of(mjml, path)
        mjml, title = _without_title(_without_controls(mjml))
        parts = _words.split(mjml)
        words = parts[2::3]
        del parts[2::3]
        key = "\0".join(parts)
        seen, outline = key in self._outlines, self._outlines.get(key)
        if outline:
            self._outlines.move_to_end(key)
            return _with_title(_filled(outline, words), title)
        html = _html(mjml, path)
        if not seen:
            self._keep(key, None)
        elif outline is None:
            self._keep(key, _outline(mjml, parts, words, html))
        return _with_title(html, title)

    def _keep(self, key: str, outline: list[str] | None) -> None:
        self._outlines[key] = outline
        if len(self._outlines) > KEPT:
            self._outlines.popitem(last=False)


def html_of(mjml: str, path: str) -> str:
    """The HTML, made the long way. Raises RenderError."""
    mjml, title = _without_title(_without_controls(mjml))
    return _with_title(_html(mjml, path), title)


def _html(mjml: str, path: str) -> str:
    try:
        html = mjml2html(mjml, fonts={})  # else it loads fonts that it knows by name from a foreign host
    except ValueError as error:
        raise RenderError(path, f"the MJML it makes is not well formed: {error}") from error
    unknown = re.search(r"<(mj-[a-z-]+)", html)
    if unknown:
        raise RenderError(path, f"<{unknown[1]}> is no MJML element, or stands where it may not")
    return _inliner.inline(html)


def _outline(mjml: str, parts: list[str], words: list[str], html: str) -> list[str]:
    """HTML, the number of a word, HTML, ... HTML; empty where there can be none."""
    if not ELEMENTS.issuperset(_element.findall(mjml.replace("</", ""))) or _by_address.search(mjml):
        return []
    places = "".join(
        f"{before}{start}{PLACE.format(n)}"
        for n, (before, start) in enumerate(zip(parts[::2], parts[1::2], strict=False))
    )
    made = _html(places + parts[-1], "")
    outline = _place.split(made)
    return [] if _in_sheet.search(made) or _filled(outline, words) != html else outline


def _filled(outline: list[str], words: list[str]) -> str:
    made = outline.copy()
    made[1::2] = [words[int(number)].replace("&#39;", "'").replace("\xa0", "&nbsp;") for number in outline[1::2]]
    return "".join(made)


def _without_controls(mjml: str) -> str:
    encoded = mjml.encode()  # most have none, which bytes say four times as fast as the expression
    if len(encoded.translate(None, _CONTROLS)) == len(encoded) and "\ufffe" not in mjml and "\uffff" not in mjml:
        return mjml
    return _control.sub("", mjml)


def _without_title(mjml: str) -> tuple[str, str]:
    """The MJML with a sign for its title, and the title, which MJML would copy into an attribute as Rust writes it."""
    found = _title.search(mjml)
    if not found or not found[1].strip() or SIGN in mjml:
        return mjml, ""
    return f"{mjml[: found.start(1)]}{TITLE}{mjml[found.end(1) :]}", found[1]


def _with_title(html: str, title: str) -> str:
    """The HTML with the title in its place, which is text in one and an attribute in another."""
    return html.replace(TITLE, escape(unescape(title)).replace("&#x27;", "'").replace("\xa0", "&nbsp;"))
