"""Unsubscribe page: asks before it unsubscribes, and records the click."""

from html import escape
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath

from mesh import Mesh
from mesh.envelope import derive_id
from mesh.errors import Unavailable
from mesh.events.customer import ConsentChanged, CustomerUnsubscribed
from mesh.publish import Draft
from mesh.web.application import shared_options
from notifications.pages import HEADERS, page
from notifications.unsubscribe_token import LinkSettings, unseal

Token = FromPath[str]

WORDS = {
    "en": {
        "ask": "Stop these e-mails?",
        "why": "You will get no more e-mails about carts you left. Order confirmations are not affected.",
        "button": "Unsubscribe",
        "done": "You are unsubscribed",
        "bye": "No more e-mails about left carts from now on. You can close this page.",
        "wrong": "This link does not work",
        "help": "It is incomplete or not ours. Please use the link from the e-mail itself, whole.",
        "later": "Please try again in a moment",
        "sorry": "We could not record it just now, and nothing was changed.",
    },
    "de": {
        "ask": "Diese E-Mails abbestellen?",
        "why": "Sie bekommen dann keine E-Mails mehr zu zurückgelassenen Warenkörben. Bestellbestätigungen bleiben.",
        "button": "Abbestellen",
        "done": "Abbestellt",
        "bye": "Ab jetzt kommen keine E-Mails zu zurückgelassenen Warenkörben mehr. Sie können die Seite schließen.",
        "wrong": "Dieser Link gilt nicht",
        "help": "Er ist unvollständig oder nicht von uns. Bitte nehmen Sie den ganzen Link aus der E-Mail.",
        "later": "Bitte gleich noch einmal versuchen",
        "sorry": "Wir konnten es gerade nicht speichern; es hat sich nichts geändert.",
    },
    "ja": {
        "ask": "メールの配信を停止しますか",
        "why": "カートに関するお知らせメールが届かなくなります。ご注文の確認メールには影響しません。",
        "button": "配信を停止する",
        "done": "配信を停止しました",
        "bye": "今後、カートに関するお知らせメールは届きません。このページを閉じてください。",
        "wrong": "このリンクは無効です",
        "help": "リンクが途中で切れているか、当店のものではありません。メール内のリンクをそのままお使いください。",
        "later": "しばらくしてからもう一度お試しください",
        "sorry": "ただいま記録できませんでした。設定は変更されていません。",
    },
}


def app(mesh: Mesh, settings: LinkSettings) -> Litestar:
    """GET asks, POST does it; nothing else. No cookie, no script."""

    @get("/unsubscribe/{token:str}", media_type="text/html")
    async def ask(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Mail programs and scanners fetch links in advance, so that a GET must change nothing."""
        language = _language(request)
        if unseal(token, settings.secret, settings.secret_before) is None:
            return _card(language, "wrong", "help", status=400)
        form = f'<form method="post"><button>{escape(WORDS[language]["button"])}</button></form>'
        return _card(language, "ask", "why", form)

    @post("/unsubscribe/{token:str}", media_type="text/html", status_code=200)
    async def unsubscribe(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Answers only once it is stored. The same link may be used again."""
        language, unsubscription = _language(request), unseal(token, settings.secret, settings.secret_before)
        if unsubscription is None:
            return _card(language, "wrong", "help", status=400)
        event = CustomerUnsubscribed(
            visitor_id=unsubscription.visitor_id,
            channel=unsubscription.channel,
            offer_id=unsubscription.offer_id,
        )
        try:
            # Clicking twice is one event, but not after consent was given again: then the id is another.
            consent = await mesh.last(ConsentChanged, unsubscription.visitor_id)
            named = derive_id("unsubscribe", token, consent.id if consent else "")
            await mesh.publish(Draft(event=event, id=named))
        except Unavailable:
            later = _card(language, "later", "sorry", status=503)
            later.headers["Retry-After"] = "5"
            return later
        return _card(language, "done", "bye")

    policy = HEADERS["Content-Security-Policy"]
    routes = [ask, unsubscribe]
    return Litestar(routes, request_max_body_size=64 * 1024, **shared_options(mesh, policy=policy))


def _language(request: Request[Any, Any, Any]) -> str:
    for part in request.headers.get("accept-language", "").split(","):
        language = part.partition(";")[0].strip().lower()[:2]
        if language in WORDS:
            return language
    return "en"


def _card(language: str, title: str, text: str, more: str = "", *, status: int = 200) -> Response[str]:
    words = WORDS[language]
    body = f'<main class="card"><h1>{escape(words[title])}</h1><p>{escape(words[text])}</p>{more}</main>'
    markup = page(words[title], body, language=language)
    return Response(markup, media_type="text/html", status_code=status, headers=dict(HEADERS))
