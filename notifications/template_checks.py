"""Template checks: what is wrong with a mail, or may be, each with its place and the reason in plain words."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from notifications.blocks.block import BLOCKS
from notifications.client_support.support import not_supported
from notifications.findings import Finding
from notifications.render_pool import Rendered, TemplateError
from notifications.template_vocabulary import nearest_filter, nearest_variable
from notifications.templates.front_matter import OFFER, ORDER
from notifications.templates.template import SUFFIX
from notifications.templates.texts import Texts
from notifications.templates.trial import SHORT_LINKS
from notifications.text_checks import check_text

AIMED, CLIPPED = 80_000, 102 * 1024
"""Bytes of HTML: from the one on a mail shows fewer lines of the cart, and behind the other Gmail cuts it off."""
STYLE = 16 * 1024
"""Bytes of `<style>` that Gmail reads."""
SUBJECT = 60
"""Characters of a subject that a telephone shows."""
_place = re.compile(r"(?P<file>.+?)(?: \[(?P<key>[^\]]+)\])?(?: line (?P<line>\d+))?").fullmatch
_undefined = re.compile(r"'(?P<name>[^']+)' is undefined|has no attribute '(?P<attribute>[^']+)'").search
_missing = re.compile(r"SimpleNamespace object' has no attribute '(?P<name>[^']+)'").search
"""The layouts name the texts of the front matter `say.headline`, ..."""
_filter = re.compile(r"No filter named '(?P<name>[^']+)'").search


def check(rendered: Rendered, texts: Texts, *, kind: str, unsubscribe_url: str) -> list[Finding]:
    """What is wrong with a mail as it was rendered; its `texts` say on which line."""
    page = _Page(rendered.html)
    return [
        *_subject(rendered),
        *_sizes(rendered, page),
        *_unsubscribe(page, kind, unsubscribe_url),
        *_links(page, texts),
        *_pictures(page, texts),
        *unsupported(texts.body, "body"),
        *check_text(rendered.sms, None if kind == ORDER else SHORT_LINKS["unsubscribe_url"]),
    ]


def refusal(error: TemplateError, texts: Texts, file: str, *, kind: str) -> Finding:
    """Why a template cannot be rendered at all, at the line of its form. `file` is the one that the form shows."""
    found = _place(error.where)
    where, key, line = (found["file"], found["key"], found["line"]) if found else (error.where, None, None)
    words, number = error.why + _meant(error.why, kind), int(line) if line else None
    if missing := _missing(error.why):
        return Finding(level="error", text=missing["name"], words=f"This text is missing, and {error.where} shows it.")
    if where not in (file, f"{file.removesuffix(SUFFIX)}{BLOCKS}"):
        at = f"{error.where}: " if where != file.partition("/")[0] else ""
        return Finding(level="error", text="mail", words=f"{at}{words}")
    if key:
        return Finding(level="error", text=key, line=number, words=words)
    if number is None:
        return Finding(level="error", text="body", words=words)
    return Finding(level="error", text="body", line=max(number - texts.body_line + 1, 1), words=words)


def _meant(why: str, kind: str) -> str:
    undefined, unknown = _undefined(why), _filter(why)
    near = None
    if undefined:
        near = nearest_variable(undefined["name"] or undefined["attribute"], kind)
    elif unknown:
        near = nearest_filter(unknown["name"])
    return f". Did you mean {near}?" if near else ""


def _subject(rendered: Rendered) -> Iterator[Finding]:
    if not rendered.subject:
        yield Finding(level="error", text="subject", words="The subject is empty.")
    elif len(rendered.subject) > SUBJECT:
        words = f"{len(rendered.subject)} characters: telephones show about {SUBJECT}. Put what matters first."
        yield Finding(level="hint", text="subject", words=words)


def _sizes(rendered: Rendered, page: "_Page") -> Iterator[Finding]:
    size = len(rendered.html.encode())
    if size > CLIPPED:
        words = f"{size / 1024:.0f} kB of HTML: Gmail cuts mails off behind 102 kB, the link to unsubscribe too."
        yield Finding(level="error", text="mail", words=words)
    elif size > AIMED:
        words = f"{size / 1000:.0f} kB of HTML: above 80 kB fewer lines of the cart are shown; Gmail cuts off at 102."
        yield Finding(level="warning", text="mail", words=words)
    if page.style > STYLE:
        words = f"{page.style / 1024:.0f} kB of <style>: Gmail reads 16 kB and drops the rest. Shorten <mj-style>."
        yield Finding(level="warning", text="mail", words=words)


def _unsubscribe(page: "_Page", kind: str, unsubscribe_url: str) -> Iterator[Finding]:
    if kind == OFFER and unsubscribe_url not in page.links:
        words = 'There is no link to unsubscribe. Write <a href="{{ unsubscribe_url }}">...</a>.'
        yield Finding(level="error", text="mail", words=words)


def _links(page: "_Page", texts: Texts) -> Iterator[Finding]:
    for address in dict.fromkeys(page.links):
        if leads_nowhere(address):
            words = f"The link “{address}” leads nowhere: give it an address that begins with https://."
            yield Finding(level="error", text="body", line=_line(texts.body, "href", address), words=words)


def _pictures(page: "_Page", texts: Texts) -> Iterator[Finding]:
    for source in dict.fromkeys(page.undescribed):
        words = 'A picture has no text for who cannot see it: add alt="...", or alt="" where it only decorates.'
        yield Finding(level="warning", text="body", line=_line(texts.body, "src", source), words=words)


def unsupported(code: str, text: str) -> Iterator[Finding]:
    """What some mail programs do not understand of the code of a text; what layouts write is left out."""
    for line, words in not_supported(code):
        yield Finding(level="warning", text=text, line=line, words=words)


def leads_nowhere(address: str) -> bool:
    """Whether a mail program can open nothing at an address."""
    return not address.strip().startswith(("https://", "http://", "mailto:", "tel:", "sms:"))


def _line(body: str, attribute: str, value: str) -> int | None:
    """The line of the body that writes an attribute so; None where a layout or a variable does."""
    written = re.compile(rf"""{attribute}\s*=\s*(["'])\s*{re.escape(value.strip())}\s*\1""")
    found = written.search(body)
    return body.count("\n", 0, found.start()) + 1 if found else None


class _Page(HTMLParser):
    """What the checks look at in a page of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.undescribed: list[str] = []
        self.style = 0
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a link, or a picture without a text."""
        named = dict(attrs)
        self._in_style = tag == "style"
        if tag in ("a", "area") and "href" in named:
            self.links.append(named["href"] or "")
        if tag == "img" and "alt" not in named:
            self.undescribed.append(named.get("src") or "")

    def handle_endtag(self, tag: str) -> None:
        """Leave a style sheet."""
        if tag == "style":
            self._in_style = False

    def handle_data(self, data: str) -> None:
        """Count what a style sheet holds."""
        if self._in_style:
            self.style += len(data.encode())
