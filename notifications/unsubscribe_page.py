"""Unsubscribe page: asks before it unsubscribes, and records the click."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.channels import EMAIL
from mesh.envelope import derive_id
from mesh.errors import Unavailable
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerUnsubscribed
from mesh.publish import Draft
from notifications.link_pages import LinkPages
from notifications.unsubscribe_token import LinkSettings, Unsubscription, unseal

Token = FromPath[str]

PAGES = LinkPages(
    {
        "en": {
            "ask": "Stop these e-mails?",
            "why": "You will get no more e-mails about carts you left. Order confirmations are not affected.",
            "button": "Unsubscribe",
            "done": "You are unsubscribed",
            "bye": "No more e-mails about left carts from now on. You can close this page.",
        },
        "de": {
            "ask": "Diese E-Mails abbestellen?",
            "why": "Dann kommen keine E-Mails mehr zu zurückgelassenen Warenkörben. Bestellbestätigungen bleiben.",
            "button": "Abbestellen",
            "done": "Abbestellt",
            "bye": "Ab jetzt kommen keine E-Mails zu zurückgelassenen Warenkörben mehr. Das war alles.",
        },
        "ja": {
            "ask": "メールの配信を停止しますか",
            "why": "カートに関するお知らせメールが届かなくなります。ご注文の確認メールには影響しません。",
            "button": "配信を停止する",
            "done": "配信を停止しました",
            "bye": "今後、カートに関するお知らせメールは届きません。このページを閉じてください。",
        },
    }
)

MESSAGES = LinkPages(
    {
        "en": {
            "ask": "Stop these messages?",
            "why": "You will get no more of them about carts you left. Order confirmations are not affected.",
            "button": "Unsubscribe",
            "done": "You are unsubscribed",
            "bye": "No more messages like this about left carts from now on. You can close this page.",
        },
        "de": {
            "ask": "Diese Nachrichten abbestellen?",
            "why": "Dann kommen keine mehr zu zurückgelassenen Warenkörben. Bestellbestätigungen bleiben.",
            "button": "Abbestellen",
            "done": "Abbestellt",
            "bye": "Ab jetzt kommen keine solchen Nachrichten zu zurückgelassenen Warenkörben mehr. Das war alles.",
        },
        "ja": {
            "ask": "メッセージの配信を停止しますか",
            "why": "カートに関するお知らせメッセージが届かなくなります。ご注文の確認メールには影響しません。",
            "button": "配信を停止する",
            "done": "配信を停止しました",
            "bye": "今後、カートに関するお知らせメッセージは届きません。このページを閉じてください。",
        },
    }
)
"""Of other channels than e-mail."""


def pages_of(unsubscription: Unsubscription) -> LinkPages:
    """The pages in the words of a channel."""
    return PAGES if unsubscription.channel == EMAIL.name else MESSAGES


def unsubscribing(mesh: Mesh, settings: LinkSettings) -> list[HTTPRouteHandler]:
    """GET asks, POST does it; nothing else."""

    @get("/unsubscribe/{token:str}", media_type="text/html")
    async def ask(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Mail programs and scanners fetch links in advance, so that a GET must change nothing."""
        unsubscription = unseal(token, settings.secret, settings.secret_before)
        if unsubscription is None:
            return PAGES.refuse(request)
        return pages_of(unsubscription).ask(request, "ask", "why", "button")

    @post("/unsubscribe/{token:str}", media_type="text/html", status_code=200)
    async def unsubscribe(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Answers only once it is stored. The same link may be used again."""
        unsubscription = unseal(token, settings.secret, settings.secret_before)
        if unsubscription is None:
            return PAGES.refuse(request)
        event = CustomerUnsubscribed(
            visitor_id=unsubscription.visitor_id,
            channel=unsubscription.channel,
            offer_id=unsubscription.offer_id,
            where="/unsubscribe",
        )
        try:
            # Clicking twice is one event, but not after consent was given again: then the id is another.
            given = [await mesh.last(kind, event.visitor_id) for kind in (ConsentChanged, ConsentConfirmed)]
            named = derive_id("unsubscribe", token, *(one.id if one else "" for one in given))
            await mesh.publish(Draft(event=event, id=named))
        except Unavailable:
            return PAGES.unavailable(request)
        return pages_of(unsubscription).show(request, "done", "bye")

    return [ask, unsubscribe]
