"""Editor: the page on which one language of a template is edited, with its preview and its checks beside it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh.channels import SMS
from mesh.web.headers import STRICT
from mesh.web.roles import ADMIN, MARKETER, PUBLISHER
from notifications.channel_settings import not_set_up
from notifications.document_api.views import names_of_authors
from notifications.documents.document import AUTHORS, Document
from notifications.documents.kind import Kind
from notifications.real_cart import read_real_cart
from notifications.studio.decision_pages.recent_decisions import RecentDecisions
from notifications.studio.studio import Studio
from notifications.studio.template_pages.block_list import blocks_shown
from notifications.studio.template_pages.edited import (
    MAY_BE_EMPTY,
    Edited,
    Source,
    digest,
    purpose_of,
    read_edited,
    typed_source,
)
from notifications.studio.template_pages.labels import CAUSES, KINDS, LINES, hint_for, language_name
from notifications.studio.template_pages.previews import Preview, Previews, choice_of
from notifications.studio.template_pages.real_carts import cart_choices
from notifications.template_vocabulary import JINJA, VARIABLES, completions, own_filters
from notifications.templates.front_matter import BESIDE_MAIL, BLOCK, OFFER, ORDER
from notifications.templates.kind import SHARED_BLOCKS
from notifications.templates.template import SUFFIX

POLICY = f"{STRICT}; frame-src 'self'"
"""The editor shows the mail in a frame."""
OTHERS = ("fr", "es", "pt")
"""Languages of which one has no texts in most templates: it shows what others get."""
DONE = {
    "created": "The template is a draft now. Nothing is sent with it before it is published and a journey names it.",
    "saved": "The draft is saved. Nothing is in force before it is published.",
    "added": "The language is part of the draft. Translate its texts, then publish.",
    "coded": "The body is code now: MJML that says the same. The history has the blocks that were published.",
    "removed": "The language is no longer part of the draft.",
    "restored": "The draft is open again.",
    "rebased": "The draft now follows the revision in force. Review the difference and publish.",
}
DONE_SHARED = DONE | {"created": "The block is a draft now. No mail has it before it is published."}
is_locale = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII).fullmatch
PageRequest = Request[Any, Any, Any]

Published = Callable[[Document, str], Awaitable[None]]
"""What follows the publication of a revision by somebody."""


async def publishes_nothing_else(document: Document, author: str) -> None:
    """Nothing follows."""


class Editor:
    """What the routes of the editor share."""

    def __init__(
        self,
        studio: Studio,
        kind: Kind,
        previews: Previews,
        recent: RecentDecisions,
        published: Published = publishes_nothing_else,
    ) -> None:
        self.studio, self.kind, self.previews, self.published = studio, kind, previews, published
        self.recent = recent
        self.mesh = studio.mesh

    def route(self) -> HTTPRouteHandler:
        """The page of a template."""

        @get("/{name:str}")
        async def edit_template(
            request: PageRequest, name: FromPath[str], locale: FromQuery[str] = "", done: FromQuery[str] = ""
        ) -> Response[bytes]:
            edited = await self.read(name)
            words = DONE_SHARED if self.kind.name == SHARED_BLOCKS.name else DONE
            return await self.show(request, edited, locale or edited.locales[0], done=words.get(done, ""))

        return edit_template

    async def read(self, name: str) -> Edited:
        """The template as it is edited. NotFoundException where there is none."""
        return await read_edited(self.kind, name, self.mesh)

    async def names(self, edited: Edited, *further: Document) -> Mapping[str, str]:
        """What those are called who wrote the template, and these revisions of it, by their ids."""
        accounts = self.studio.console.accounts
        return {**AUTHORS, **await names_of_authors(accounts, edited.in_force, edited.draft, *further)}

    async def show(
        self, request: PageRequest, edited: Edited, locale: str, *, status: int = 200, **shown: Any
    ) -> Response[bytes]:
        """The page with what is stored, or with what was sent (`sent`), which is not lost whatever is wrong."""
        sent = shown.pop("sent", None)
        stored = edited.source(locale)
        source = typed_source(sent) if sent else stored
        choice = choice_of(sent or {})
        shopper = shopper_of(sent or {}, locale)
        texts = source.parsed(f"{edited.name}/{locale}{SUFFIX}")
        kind = purpose_of(edited)
        if kind == OFFER:
            texts.front.update({text: "" for text in MAY_BE_EMPTY if text not in texts.front})
        elif kind == ORDER:
            texts.front.update({text: "" for text in ("sms.text", BESIDE_MAIL) if text not in texts.front})
        values = {
            "edited": edited,
            "locale": locale,
            "texts": texts,
            "rows": {text: _rows(written) for text, written in texts.front.items()},
            "read": str(sent.get("read", "")) if sent else digest(stored),
            "choice": choice,
            "shopper": shopper,
            "shoppers": _shoppers(edited.locales),
            "preview": await self.preview(edited, locale, source, sent or {}),
            "purpose": kind,
            "purposes": KINDS,
            "carts": LINES,
            "real_carts": cart_choices(self.recent) if kind in (OFFER, BLOCK) else [],
            "real_cart": str((sent or {}).get("cart", "")),
            "may_read": request.user.may(ADMIN.name),
            "causes": CAUSES,
            "variables": VARIABLES[kind],
            "filters": own_filters(),
            "more_filters": JINJA,
            "names": completions(kind),
            "authors": await self.names(edited),
            **blocks_shown(source, edited, kind),
            "hint": hint_for(kind),
            "beside_mail": BESIDE_MAIL,
            "language_name": language_name,
            "may_edit": request.user.may(MARKETER.name),
            "may_publish": request.user.may(PUBLISHER.name),
            "done": "",
            "wrong": "",
            "conflict": None,
            "mailed": None,
            "may_text": kind in (OFFER, ORDER) and SMS.name not in not_set_up(),
        }
        response = self.studio.show(request, "template.html.j2", values | shown, status=status)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    async def preview(self, edited: Edited, locale: str, source: Source, sent: Mapping[str, Any]) -> Preview:
        """A language's file rendered with the sample that a form chose."""
        files = edited.with_source(locale, source)
        shopper, cart_id = shopper_of(sent, locale), str(sent.get("cart", ""))
        is_offer = purpose_of(edited) in (OFFER, BLOCK)
        cart = await read_real_cart(self.mesh, cart_id) if cart_id and is_offer else None
        return await self.previews.preview(
            edited.name, files, locale=locale, shopper=shopper, choice=choice_of(sent), cart=cart
        )


def locale_of(sent: Mapping[str, Any], edited: Edited) -> str:
    """The language that a form edits; NotFoundException where the template has no such."""
    locale = str(sent.get("locale", ""))
    if locale not in edited.locales:
        raise NotFoundException(
            f"template {edited.name} has no texts in {locale or 'no language'}: load the page again"
        )
    return locale


def shopper_of(sent: Mapping[str, Any], locale: str) -> str:
    """The locale of the shopper who is shown, by default the one that is edited."""
    shopper = str(sent.get("shopper", ""))
    return shopper if is_locale(shopper) else locale


def _shoppers(locales: list[str]) -> list[tuple[str, str]]:
    """Whose mail may be looked at: each language's, and that of somebody whose language is none of them."""
    named = [(one, language_name(one)) for one in locales]
    others = [one for one in OTHERS if one not in locales][:1]
    return [*named, *((one, f"{language_name(one)} (no texts: gets another language)") for one in others)]


def _rows(text: str) -> int:
    return min(sum(len(line) // 44 + 1 for line in text.split("\n")), 8)
