"""Stripe: events of an account's checkouts, signed by Stripe's scheme (https://docs.stripe.com/webhooks).

Payments that Cartmesh itself takes are reported to the service `payments`; these are for shops that sell by Stripe
Checkout. Stripe sends no lines with a session, so the shop puts them into its metadata.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mesh.errors import InvalidField
from mesh.settings import read
from mesh.translate import Adapter, Foreign, Translated
from mesh.web.signature import TOLERANCE, verify
from services.connect.names import plain_id, visitor_of
from services.connect.signed_webhooks import opened, secrets_of
from services.connect.webhook import Webhook, inner, required, text, translated

SIGNATURE, SETTING = "Stripe-Signature", "CARTMESH_STRIPE_SECRETS"
TYPES = frozenset({"checkout_started", "customer_identified", "order_confirmed"})
LINES = (
    'Stripe sends no lines: put them into metadata.cartmesh_lines, as [["<product_id>", <pieces>, <minor units>], ...]'
)


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_STRIPE_SECRETS: `<name>=<signing secret>` for each endpoint, twice while its secret is changed.

    CARTMESH_STRIPE_TOLERANCE: how old a signature may be.
    """

    stripe_secrets: tuple[str, ...] = ()
    stripe_tolerance: timedelta = TOLERANCE


def adapter() -> Adapter:
    """What reads them. What can never be taken is answered 200: Stripe would send it for three days."""
    settings = read(StripeSettings)
    secrets = secrets_of(SETTING, settings.stripe_secrets)

    def signed(request: Foreign) -> str:
        header = request.headers.get(SIGNATURE.lower())
        return secrets[verify(request.body, header, secrets, tolerance=settings.stripe_tolerance)]

    return Adapter(translate=translate, signed=signed, types=TYPES, refused=200)


def translate(request: Foreign) -> Translated:
    """What an event means. Raises Unreadable."""
    body = opened(request)
    kind = str(body.get("type", ""))
    webhook = Webhook(body, plain_id(body.get("id")) or "none")
    return translated(webhook, kind or "no type", KINDS.get(kind), kind="stripe")


def _session(webhook: Webhook) -> dict[str, Any]:
    """The session, with who it is about in what is shared. Raises InvalidField."""
    required(webhook.body, "id")
    session = inner(inner(webhook.body, "data"), "object")
    metadata = inner(session, "metadata")
    created = webhook.body.get("created")
    if isinstance(created, bool) or not isinstance(created, int) or not 0 < created < 10**11:
        raise InvalidField("$.created", "seconds since 1970")
    webhook.shared["time"] = datetime.fromtimestamp(created, UTC).isoformat()
    visitor = plain_id(metadata.get("visitor_id")) or plain_id(session.get("client_reference_id"))
    customer = plain_id(session.get("customer"))
    named = f"customer-{customer}" if customer else f"session-{required(session, 'id', '$.data.object')}"
    webhook.shared["visitor_id"] = visitor or visitor_of("stripe", named)
    if own := plain_id(metadata.get("customer_id")):
        webhook.shared["customer_id"] = own
    return session


def _completed(webhook: Webhook) -> None:
    """checkout.session.completed, ...async_payment_succeeded: an order, once it is paid."""
    webhook.certain["type"] = "order_confirmed"
    session = _session(webhook)
    metadata = inner(session, "metadata")
    if cart := plain_id(metadata.get("cart_id")):
        webhook.certain["cart_id"] = cart
    webhook.certain["order_id"] = plain_id(metadata.get("order_id")) or required(session, "id", "$.data.object")
    if session.get("payment_status") not in ("paid", "no_payment_required"):
        webhook.nothing = "the session is not paid yet: it counts once Stripe says that the payment succeeded"
        return
    total, currency = session.get("amount_total"), str(session.get("currency") or "").upper()
    if isinstance(total, bool) or not isinstance(total, int):
        raise InvalidField("$.data.object.amount_total", "minor units, as a whole number")
    lines = _lines(metadata.get("cartmesh_lines"), currency)
    details = inner(session, "customer_details")
    if email := text(details.get("email")):
        webhook.add("customer_identified", email=email, name=text(details.get("name")))
    webhook.add(
        "order_confirmed",
        order_id=webhook.certain["order_id"],
        cart_id=cart or None,
        lines=lines,
        total={"amount": total, "currency": currency},
    )


def _lines(written: Any, currency: str) -> list[dict[str, Any]]:
    at = "$.data.object.metadata.cartmesh_lines"
    try:
        found = msgspec.json.decode(written or "", type=list[tuple[str, int, int]])
    except (msgspec.MsgspecError, TypeError, UnicodeError):
        raise InvalidField(at, LINES) from None
    if not found:
        raise InvalidField(at, LINES)
    return [
        {"product_id": plain_id(product), "quantity": pieces, "price": {"amount": amount, "currency": currency}}
        for product, pieces, amount in found
    ]


KINDS: dict[str, Callable[[Webhook], None]] = {
    "checkout.session.completed": _completed,
    "checkout.session.async_payment_succeeded": _completed,
}
"""Stripe's type of an event, and what it means here."""
