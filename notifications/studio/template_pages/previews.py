"""Previews: a template that may not be saved yet, rendered with a sample, and what the checks say about it."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from notifications.blocks.block import BLOCKS
from notifications.blocks.findings import with_blocks
from notifications.channels.sms.segments import Segments, segments_of
from notifications.findings import Finding
from notifications.real_cart import RealCart
from notifications.render_pool import Rendered, RenderPool, TemplateError
from notifications.template_checks import check, refusal
from notifications.templates.front_matter import front_matter
from notifications.templates.template import SUFFIX, Template, template_of
from notifications.templates.texts import Texts, texts_of
from notifications.templates.trial import (
    UNSUBSCRIBE,
    Cause,
    Lines,
    SampleChoice,
    chosen_variables,
    with_short_links,
)

KEPT = 32
"""How many mails are kept: the frame asks for the one whose checks were shown before."""

WITH_CODE = {True: "with a code", False: "without a code"}


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it would be sent, or None where it cannot be rendered, and what was found.

    `subjects` are what a subject that asks for a code becomes, by `with a code` and `without a code`; empty for others.
    """

    rendered: Rendered | None
    findings: list[Finding]
    subjects: Mapping[str, str] = {}

    @property
    def segments(self) -> Segments:
        """In how many messages the text message is sent."""
        return segments_of(self.rendered.sms if self.rendered else "")

    @property
    def size(self) -> int:
        """Bytes of HTML."""
        return len(self.rendered.html.encode()) if self.rendered else 0


class Previews:
    """Renders previews with the render workers of this process."""

    def __init__(self, pool: RenderPool) -> None:
        self._pool = pool
        self._made: OrderedDict[tuple[Template, str, str, SampleChoice], Preview] = OrderedDict()

    async def preview(
        self,
        name: str,
        files: Mapping[str, str],
        *,
        locale: str,
        shopper: str,
        choice: SampleChoice,
        cart: RealCart | None = None,
    ) -> Preview:
        """The mail for a shopper of a locale; `locale` is the file that the editor shows. A real `cart` is not kept."""
        template = template_of(name, files)
        if cart is not None:
            return await self._preview(template, locale, shopper, choice, cart)
        key = template, locale, shopper, choice
        made = self._made.get(key)
        if made is None:
            made = await self._preview(template, locale, shopper, choice)
            if made.rendered is not None:  # another try may be better: the machine may have been busy
                self._made[key] = made
            if len(self._made) > KEPT:
                self._made.popitem(last=False)
        return made

    async def _preview(
        self, template: Template, locale: str, shopper: str, choice: SampleChoice, cart: RealCart | None = None
    ) -> Preview:
        file = f"{template.name}/{locale}{SUFFIX}"
        source = dict(template.files)[f"{locale}{SUFFIX}"]
        kind, texts = front_matter(source, file)["kind"], texts_of(source, file)
        try:
            variables = with_short_links(chosen_variables(template, shopper, choice, cart))
            rendered = await self._pool.render(template, shopper, variables)
        except TemplateError as error:
            return Preview(rendered=None, findings=[refusal(error, texts, file, kind=kind)])
        blocks = dict(template.files).get(f"{locale}{BLOCKS}")
        shown = texts if _chosen(template, shopper) == locale else Texts(front={}, body="")
        found = check(rendered, shown, kind=kind, unsubscribe_url=UNSUBSCRIBE)
        found = found if blocks is None else with_blocks(found, blocks)
        subjects = {}
        if "coupon" in texts.front.get("subject", ""):
            other = msgspec.structs.replace(choice, coupon=not choice.coupon)
            subjects = {WITH_CODE[choice.coupon]: rendered.subject} | await self._subject(
                template, shopper, other, cart
            )
        return Preview(rendered=rendered, findings=found, subjects=subjects)

    async def _subject(
        self, template: Template, shopper: str, choice: SampleChoice, cart: RealCart | None
    ) -> dict[str, str]:
        """What the subject becomes with another choice; nothing where that cannot be rendered."""
        try:
            rendered = await self._pool.render(template, shopper, chosen_variables(template, shopper, choice, cart))
        except TemplateError:
            return {}
        return {WITH_CODE[choice.coupon]: rendered.subject}


def choice_of(sent: Mapping[str, Any]) -> SampleChoice:
    """The sample that a form chose; what it does not say is as in the first one."""
    lines, cause = str(sent.get("lines", "two")), str(sent.get("cause", "customer"))
    return msgspec.convert(
        {
            "coupon": sent.get("coupon", "yes") == "yes",
            "recommended": sent.get("recommended", "yes") == "yes",
            "named": sent.get("named", "yes") == "yes",
            "lines": lines if lines in get_args(Lines) else "two",
            "cause": cause if cause in get_args(Cause) else "customer",
        },
        SampleChoice,
    )


def _chosen(template: Template, shopper: str) -> str:
    """The language of the file that a shopper of a locale gets: the locale's, its language's, or English."""
    there, tag = template.locales, shopper.replace("_", "-")
    return next(one for one in (tag, tag.partition("-")[0], "en", there[0]) if one in there)
