"""Preference page: what a shopper allows, by purpose and channel, and the form that changes it.

Looking changes nothing, as programs fetch the links of mails. What is allowed here is the word of the address's owner
(`customer.consent_confirmed`), what is refused is as good as unsubscribing; both with the proof of where and how.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.channels import CHANNELS, PURPOSES, Channel, Purpose
from mesh.consent import consent_of
from mesh.envelope import derive_id
from mesh.errors import Unavailable
from mesh.events.customer import ConsentConfirmed, CustomerUnsubscribed
from mesh.history import History
from mesh.publish import Draft
from notifications.link_pages import LinkPages
from notifications.preference_token import PreferenceLink, unseal
from notifications.preference_words import STYLE, WORDS
from notifications.unsubscribe_token import LinkSettings

Token = FromPath[str]
PAGES = LinkPages(WORDS)
YES, NO, ALL = "yes", "no", "all"
WHERE = "/preferences"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A purpose and channel, and whether the shopper allows it now; None: they were never asked."""

    purpose: str
    channel: str
    allowed: bool | None

    @property
    def name(self) -> str:
        """The field of the form."""
        return f"{self.purpose}.{self.channel}"


def choices(history: History, address: str) -> Iterator[Choice]:
    """Every purpose and channel, as this visitor's events have it."""
    for purpose in PURPOSES:
        consent = consent_of(history, purpose, address=address)
        for channel in map(CHANNELS.require, CHANNELS):
            asked = consent.asked.get(channel.name, None if channel.asks else True)
            gone = channel.name in consent.unsubscribed
            yield Choice(purpose=purpose, channel=channel.name, allowed=False if gone else asked)


def preferring(mesh: Mesh, settings: LinkSettings) -> list[HTTPRouteHandler]:
    """GET shows, POST changes; nothing else."""

    def read(token: str) -> PreferenceLink | None:
        return unseal(token, settings.secret, settings.secret_before)

    async def shown(request: Request[Any, Any, Any], link: PreferenceLink, title: str, text: str) -> Response[str]:
        found = list(choices(await mesh.history(link.visitor_id, "customer"), link.address))
        form = _form(found, PAGES.words(request), may_allow=link.may_allow(datetime.now(UTC)))
        return PAGES.show(request, title, text, more=form, style=STYLE)

    @get("/preferences/{token:str}", media_type="text/html")
    async def show_preferences(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Mail programs and scanners fetch links in advance, so that a GET must change nothing."""
        link = read(token)
        if link is None:
            return PAGES.refuse(request)
        try:
            return await shown(request, link, "title", "intro")
        except Unavailable:
            return PAGES.unavailable(request)

    @post("/preferences/{token:str}", media_type="text/html", status_code=200)
    async def change_preferences(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Answers only once it is stored, with what holds now. What was not changed is not stored again."""
        link = read(token)
        if link is None:
            return PAGES.refuse(request)
        form = await request.form()
        try:
            await _store(form, link, PAGES.words(request), mesh)
            return await shown(request, link, "saved", "now")
        except Unavailable:
            return PAGES.unavailable(request)

    return [show_preferences, change_preferences]


async def _store(form: Mapping[str, Any], link: PreferenceLink, words: Mapping[str, str], mesh: Mesh) -> None:
    """Store what a form changes; sent twice it is one event. Raises Unavailable."""
    history = await mesh.history(link.visitor_id, "customer")
    last = history.events[-1].id if history.events else ""
    for choice in choices(history, link.address):
        wanted = NO if form.get(ALL) == NO else str(form.get(choice.name))
        change = _change(choice, wanted, link, words)
        if change is not None:
            named = derive_id("preference", link.visitor_id, link.offer_id, choice.name, wanted, last)
            await mesh.publish(Draft(event=change, id=named))


def _change(
    choice: Choice, wanted: str, link: PreferenceLink, words: Mapping[str, str]
) -> ConsentConfirmed | CustomerUnsubscribed | None:
    """What a choice of the form changes; nothing where it is so already, or where the link is too old to allow it."""
    if wanted == NO and choice.allowed is not False:
        return CustomerUnsubscribed(
            visitor_id=link.visitor_id,
            channel=choice.channel,
            offer_id=link.offer_id,
            purpose=choice.purpose,
            where=WHERE,
        )
    if wanted == YES and not choice.allowed and link.may_allow(datetime.now(UTC)):
        return ConsentConfirmed(
            visitor_id=link.visitor_id,
            channel=choice.channel,
            address=link.address,
            purpose=choice.purpose,
            where=WHERE,
            wording=f"{words['title']}: {_label(choice, words)}: {words[YES]}",
        )
    return None


def _form(found: list[Choice], words: Mapping[str, str], *, may_allow: bool) -> str:
    sets = "".join(_field(choice, words, may_allow=may_allow) for choice in found)
    old = "" if may_allow else f"<p>{escape(words['old'])}</p>"
    stop = f'<button class="second" name="{ALL}" value="{NO}">{escape(words["stop"])}</button>'
    return (
        f'<form method="post">{sets}{old}<p class="always">{escape(words["orders"])}</p>'
        f'<div class="buttons"><button>{escape(words["save"])}</button>{stop}</div></form>'
    )


def _field(choice: Choice, words: Mapping[str, str], *, may_allow: bool) -> str:
    def option(value: str, *, chosen: bool, enabled: bool) -> str:
        marks = f"{' checked' if chosen else ''}{'' if enabled else ' disabled'}"
        return (
            f'<label><input type="radio" name="{escape(choice.name)}" value="{value}"{marks}> '
            f"{escape(words[value])}</label>"
        )

    allowed = bool(choice.allowed)
    yes = option(YES, chosen=allowed, enabled=may_allow or allowed)
    no = option(NO, chosen=choice.allowed is False, enabled=True)
    return f"<fieldset><legend>{escape(_label(choice, words))}</legend>{yes}{no}</fieldset>"


def _label(choice: Choice, words: Mapping[str, str]) -> str:
    """A purpose and channel in the reader's language; one that has no words there by its title."""
    purpose: Purpose = PURPOSES.require(choice.purpose)
    channel: Channel = CHANNELS.require(choice.channel)
    return words["label"].format(
        purpose=words.get(f"purpose {purpose.name}", purpose.title),
        channel=words.get(f"channel {channel.name}", channel.title),
    )
