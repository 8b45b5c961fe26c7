"""Template renderer: a template and data become subject, HTML, text and card. Runs in the render worker only.

A template file is TOML front matter between two lines `+++` (the texts, Jinja allowed in each) and a
body in Jinja over MJML, most often one line that extends a layout, or a list of blocks beside it. The texts `because`
are lines of each recommended product, which is `line` in them. The text part is the text `plain`, else that of the
blocks, else the layout of the template's `kind`.
"""

import re
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import jinja2
from markupsafe import Markup

from notifications.blocks.block import BLOCKS
from notifications.blocks.compiled import Compiled, compiled
from notifications.blocks.filled import filled as filled_blocks
from notifications.blocks.filled import sources
from notifications.blocks.words import without_signs
from notifications.mail_html import MailHtml, html_of
from notifications.template_filters import locale_of, web, wording
from notifications.template_sandbox import Sandbox, Text, filled
from notifications.templates.front_matter import CARD, OWN_LINKS, body_of, front_matter
from notifications.templates.render_error import RenderError
from notifications.templates.render_refusal import refused
from notifications.templates.shipped import shipped_layout
from notifications.templates.template import SUFFIX, Template, locales_for

TEXT = ".txt.j2"
"""The end of the name by which Jinja finds the plain text of blocks."""
LARGEST = 400_000
LARGEST_HTML = 80_000
"""Bytes of HTML that are aimed at: Gmail cuts mails off behind 102 kB, and the link to unsubscribe comes last."""
SHOWN_LINES = (20, 10, 5, 2, 1)
"""How many lines of the cart a mail shows: the most with which it is no larger."""
FRAMES = (
    "<mjml><mj-body><mj-wrapper>%s</mj-wrapper></mj-body></mjml>",
    "<mjml><mj-body><mj-section><mj-column>%s</mj-column></mj-section></mj-body></mjml>",
)
"""Where a block of MJML may stand."""


class TemplateRenderer:
    """Renders one template; keeps what it has compiled. Layouts are the template's own, or come with Cartmesh."""

    def __init__(self, template: Template) -> None:
        self._template, self._files = template, dict(template.files)
        loader = jinja2.FunctionLoader(self._load)
        options = {"loader": loader, "undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
        self._markup = Sandbox(autoescape=True, **options)
        self._plain = Sandbox(autoescape=False, **options)
        self._words = Sandbox(autoescape=False, finalize=without_signs, **options)
        self._blocks = cache(lambda locale: sources(compiled(self._files, template.name, locale)))
        self._html, self._text = MailHtml(), cache(Text)
        self._front_matter = cache(lambda file: front_matter(self._files[file], f"{template.name}/{file}"))

    def render(self, wanted: str | None, data: dict[str, Any]) -> dict[str, Any]:
        """`{"locale", "subject", "preheader", "html", "text", "card"}`, the card with title, body and action.

        `sms` is the text message, `push` the notification, which has the card's texts where it has none. `wanted` is
        the shopper's locale; its language is chosen where it is there, else English. The cart's first lines are shown,
        as many as make a mail that Gmail shows whole. Raises RenderError.
        """
        mail: dict[str, Any] = {}
        for most in SHOWN_LINES:
            if not mail or most < len(data["lines"]):
                mail = self._render_lines(wanted, data, most)
            if len(mail["html"].encode()) <= LARGEST_HTML:
                break
        return mail

    def _render_lines(self, wanted: str | None, data: dict[str, Any], most: int) -> dict[str, Any]:
        """The mail with at most so many lines of the cart."""
        file, language = self._choose(wanted)
        path = f"{self._template.name}/{file}"
        front = dict(self._front_matter(file))
        because, kind = front.pop("because", ""), front.pop("kind")
        locale = locale_of(wanted, language)
        for environment in (self._markup, self._plain, self._words):
            environment.filters.update(wording(str(locale), data.get("time_zone")))
        context = {**self._plain.globals, **_safe(_shortened(data, most)), "language": locale.language}
        marked, plain = {}, {}
        for key, text in front.items():
            if key.startswith(tuple(f"{table}." for table in OWN_LINKS)):
                continue
            where = f"{path} [{key}]"
            marked[key] = Markup(self._render_text(self._markup, where, text, context))  # noqa: S704  escaped as it was rendered
            plain[key] = self._render_text(self._plain, where, text, context)
        marked_context = self._with_reasons(self._markup, path, because, {**context, "say": SimpleNamespace(**marked)})
        plain_context = self._with_reasons(self._plain, path, because, {**context, "say": SimpleNamespace(**plain)})
        text_path = f"layouts/{kind}.txt.j2"
        if blocks := self._blocks_of(file):
            text_path = f"{self._template.name}/{file.removesuffix(SUFFIX)}{TEXT}"
            marked_context["written"], plain_context["written"] = filled_blocks(
                blocks,
                self._template.name,
                lambda where, source: self._render_text(self._words, where, source, plain_context),
                lambda where, source: self._render_text(self._markup, where, source, marked_context),
            )
        mjml = self._render(self._markup, path, marked_context)
        text = plain["plain"] if "plain" in plain else self._render(self._plain, text_path, plain_context)
        card = {key: plain.get(f"card.{key}", "").strip() for key in CARD}
        push = {"title": card["title"], "body": card["body"], **self._of_table("push", wanted, context)}
        sms = self._of_table("sms", wanted, context)
        return {
            "locale": str(locale),
            "subject": " ".join(plain["subject"].split()),
            "preheader": " ".join(plain["preheader"].split()),
            "html": self._as_html(mjml, path, blocks, marked_context),
            "text": re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
            "card": card,
            "push": {key: " ".join(text.split()) for key, text in push.items()},
            "url": context.get("cart_url", ""),
            "sms": _in_sms(sms.get("text", "")),
            "sms_beside_mail": bool(sms.get("beside_mail", "").strip()),
        }

    def _of_table(self, table: str, wanted: str | None, context: dict[str, Any]) -> dict[str, str]:
        """The texts of a channel; where a language has none, those of the next one that the shopper may get.

        Their links are the short ones, where there are such.
        """
        before = dict(self._plain.filters)
        for file, language in self._fallbacks(wanted):
            own = {key: text for key, text in self._front_matter(file).items() if key.startswith(f"{table}.")}
            if not any(own.values()):
                continue
            locale, path = locale_of(wanted, language), f"{self._template.name}/{file}"
            self._plain.filters.update(wording(str(locale), context.get("time_zone")))
            context = {**context, **context.get("short_links", {}), "language": locale.language}
            try:
                return {
                    key.removeprefix(f"{table}."): self._render_text(self._plain, f"{path} [{key}]", text, context)
                    for key, text in own.items()
                }
            finally:
                self._plain.filters.update(before)
        return {}

    def _as_html(self, mjml: str, path: str, blocks: Compiled | None, context: dict[str, Any]) -> str:
        """The HTML of the MJML; an error of a block that is MJML itself names that block."""
        try:
            return self._html.of(mjml, path)
        except RenderError as error:
            for key, slot in blocks.slots.items() if blocks else ():
                if slot.form == "code" and not any(_is_mjml(frame % context["written"][key]) for frame in FRAMES):
                    raise RenderError(f"{self._template.name}/{slot.file} [{slot.field}]", str(error)) from error
            raise

    def warm(self) -> None:
        """Compile every file, so that the first mail is as fast as the second."""
        for locale in self._template.locales:
            try:
                self._markup.get_template(f"{self._template.name}/{locale}{SUFFIX}")
            except (jinja2.TemplateError, RenderError):
                continue  # reported when it is used

    def _choose(self, wanted: str | None) -> tuple[str, str]:
        there = self._template.locales
        if not there:
            raise RenderError(self._template.name, f"it has no file for any locale: add en{SUFFIX}")
        return next(self._fallbacks(wanted))

    def _fallbacks(self, wanted: str | None) -> Iterator[tuple[str, str]]:
        """The files and languages that a shopper may get, the best first."""
        for chosen in locales_for(wanted, self._template.locales):
            yield f"{chosen}{SUFFIX}", chosen.replace("-", "_")

    def _load(self, path: str) -> str:
        """The body of one of the template's files (`<name>/de.mjml.j2`), or of a layout (`layouts/offer.mjml.j2`).

        That of blocks is what they are compiled to, and their plain text `<name>/de.txt.j2`.
        """
        file = path.removeprefix(f"{self._template.name}/")
        if file != path and (blocks := self._blocks_of(file)):
            return blocks.text if file.endswith(TEXT) else blocks.body
        source = self._files.get(file)
        source = shipped_layout(path) if source is None else source
        if source is None:
            raise jinja2.TemplateNotFound(path)
        return body_of(source)

    def _blocks_of(self, file: str) -> Compiled | None:
        """What the blocks of a locale's file make; None where its body is code."""
        locale = file.removesuffix(SUFFIX).removesuffix(TEXT)
        return self._blocks(locale) if f"{locale}{BLOCKS}" in self._files else None

    def _with_reasons(
        self, environment: jinja2.Environment, path: str, because: str, context: dict[str, Any]
    ) -> dict[str, Any]:
        """The context with text of why each product is recommended: `because` of the front matter, for each `line`."""
        lines = []
        for line in context["recommended"]:
            words = self._render_text(environment, f"{path} [because]", because, {**context, "line": line}).strip()
            lines.append({**line, "because": Markup(words) if environment is self._markup else words})  # noqa: S704  escaped as it was rendered
        return {**context, "recommended": lines}

    def _render_text(self, environment: jinja2.Environment, where: str, text: str, context: dict[str, Any]) -> str:
        try:
            return _bounded(self._text(environment, text).filled(context), where)
        except Exception as error:
            raise refused(error, where) from error

    def _render(self, environment: jinja2.Environment, path: str, context: dict[str, Any]) -> str:
        try:
            return _bounded(filled(environment.get_template(path), context), path)
        except Exception as error:
            raise refused(error, path) from error


def _in_sms(text: str) -> str:
    """A text message: one paragraph per line, and no space that is only in UCS-2, such as those in amounts."""
    plain = text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2009", " ")
    return "\n".join(" ".join(line.split()) for line in plain.strip().splitlines())


def _is_mjml(mjml: str) -> bool:
    try:
        return bool(html_of(mjml, ""))
    except RenderError:
        return False


def _bounded(text: str, where: str) -> str:
    if len(text) > LARGEST:
        raise RenderError(where, f"it makes {len(text):,} characters; mail programs cut mails off far below that")
    return text


def _shortened(data: dict[str, Any], most: int) -> dict[str, Any]:
    """The data with the first lines; `line_count` is how many the cart has, `more_lines` how many are not shown."""
    count = len(data["lines"])
    return {**data, "lines": data["lines"][:most], "line_count": count, "more_lines": max(count - most, 0)}


def _safe(data: dict[str, Any]) -> dict[str, Any]:
    """The data with only web addresses left in products: what a storefront sent may be anything."""
    cleaned = dict(data)
    for group in ("lines", "recommended"):
        cleaned[group] = [
            {**line, "url": web(line.get("url")), "image": web(line.get("image"))} for line in data.get(group, ())
        ]
    return cleaned
