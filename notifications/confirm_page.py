"""Confirm page: asks before it confirms that an address may be written to, and records the click."""

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.envelope import derive_id
from mesh.errors import Unavailable
from mesh.events.customer import ConsentConfirmed, CustomerUnsubscribed
from mesh.publish import Draft
from notifications.confirmation_token import Confirmation, ConfirmationSettings, unseal
from notifications.link_pages import LinkPages
from notifications.unsubscribe_token import LinkSettings

Token = FromPath[str]

PAGES = LinkPages(
    {
        "en": {
            "ask": "May we write to you?",
            "why": "You will get e-mails about carts you left, at this address. You can stop them with one click.",
            "button": "Yes, write to me",
            "done": "Thank you, it is confirmed",
            "bye": "From now on we may write to you about carts you left. You can close this page.",
            "old": "This link is too old",
            "again": "Nothing was changed. Allow e-mails in the shop again, and you will get a new link.",
        },
        "de": {
            "ask": "Dürfen wir Ihnen schreiben?",
            "why": "Sie bekommen dann E-Mails zu zurückgelassenen Warenkörben. Ein Klick genügt, um sie abzubestellen.",
            "button": "Ja, schreiben Sie mir",
            "done": "Danke, das ist bestätigt",
            "bye": "Ab jetzt dürfen wir Ihnen zu zurückgelassenen Warenkörben schreiben. Das war alles.",
            "old": "Dieser Link ist zu alt",
            "again": "Es hat sich nichts geändert. Erlauben Sie E-Mails im Shop noch einmal: Dann kommt ein neuer.",
        },
        "ja": {
            "ask": "メールをお送りしてもよろしいですか",
            "why": "カートに関するお知らせメールをこのアドレスにお送りします。いつでもワンクリックで停止できます。",
            "button": "メールを受け取る",
            "done": "確認が完了しました",
            "bye": "今後、カートに関するお知らせメールをお送りします。このページを閉じてください。",
            "old": "このリンクは期限切れです",
            "again": "設定は変更されていません。ショップでもう一度メールを許可すると、新しいリンクが届きます。",
        },
    }
)


def confirming(mesh: Mesh, settings: LinkSettings, limits: ConfirmationSettings) -> list[HTTPRouteHandler]:
    """GET asks, POST confirms; nothing else."""

    def read(token: str, request: Request[Any, Any, Any]) -> Confirmation | Response[str]:
        confirmation = unseal(token, settings.secret, settings.secret_before)
        if confirmation is None:
            return PAGES.refuse(request)
        if confirmation.age(datetime.now(UTC)) > limits.confirm_within:
            return PAGES.show(request, "old", "again", status=410)
        return confirmation

    @get("/confirm/{token:str}", media_type="text/html")
    async def ask_to_confirm(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Programs that fetch the links of mails in advance confirm nothing."""
        found = read(token, request)
        return found if isinstance(found, Response) else PAGES.ask(request, "ask", "why", "button")

    @post("/confirm/{token:str}", media_type="text/html", status_code=200)
    async def confirm(token: Token, request: Request[Any, Any, Any]) -> Response[str]:
        """Answers only once it is stored. The same link may be used again."""
        found = read(token, request)
        if isinstance(found, Response):
            return found
        event = ConsentConfirmed(
            visitor_id=found.visitor_id,
            channel=found.channel,
            address=found.address,
            where="/confirm",
            wording=PAGES.wording(request, "ask", "why", "button"),
        )
        try:
            # Clicking twice is one event, but not after unsubscribing in between.
            gone = await mesh.last(CustomerUnsubscribed, event.visitor_id)
            await mesh.publish(Draft(event=event, id=derive_id("confirm", token, gone.id if gone else "")))
        except Unavailable:
            return PAGES.unavailable(request)
        return PAGES.show(request, "done", "bye")

    return [ask_to_confirm, confirm]
