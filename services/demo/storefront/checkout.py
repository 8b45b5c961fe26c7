"""Checkout: what a shopper sends from the checkout page becomes an order over HTTP, with the shop's secret key."""

import hashlib
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from mesh import Mesh, Money, Retry
from mesh.vocabulary import Token
from mesh.web.problems import problem, retry_later
from services.demo.storefront.cart_link import MOST, discount_of
from services.demo.storefront.catalogue import find
from services.demo.storefront.order_client import OrderClient, OrderRefused, OrderTaken

Card = Literal["good", "abroad", "declined", "empty"]
"""The sandbox's cards: one that pays, one that pays and whose bill goes to another country, and two that do not."""
TOKENS = {"declined": "card_declined", "empty": "card_insufficient"}
"""Cards that the provider always declines. Each of the others is a card of its own."""
ABROAD = {"street": "1 Harbour Road", "postal_code": "0150", "city": "Oslo", "country": "NO"}
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the parcel goes, and whom to write to."""

    name: Text
    street: Text
    postal_code: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    city: Text
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
    email: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | None = None


class Checkout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the page sends. `key` is random and the checkout's: the same one again is the same order.

    `total` is what the shopper saw. `about` is what the coupon's offer was about, where that was no cart. Who does not
    want to be recorded sends no `visitor_id`.
    """

    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    lines: Annotated[dict[str, Annotated[int, msgspec.Meta(ge=1, le=MOST)]], msgspec.Meta(min_length=1)]
    total: Money
    card: Card
    delivery: Delivery
    visitor_id: Token | None = None
    cart_id: Token | None = None
    coupon: Token | None = None
    about: Token | None = None


def serve_checkout(mesh: Mesh, client: OrderClient) -> HTTPRouteHandler:
    """The route `POST /checkout`: 201 with the order's id once it is stored.

    422 for what cannot be ordered as it was shown, 503 while orders are not answered, 404 for a shop without a secret
    key.
    """

    @post("/checkout")
    async def place_order(request: Request[Any, Any, Any], data: JSONBody[Checkout]) -> Response[bytes]:
        if urlsplit(request.headers.get("origin", "")).netloc != request.headers.get("host"):
            raise PermissionDeniedException("only the shop's own pages may order")
        if not client.has_key:
            raise NotFoundException("this shop has no secret key, so it takes no orders")
        unknown = next((one for one in data.lines if find(one) is None), None)
        if unknown is not None:
            raise HTTPException(f"the shop does not sell {unknown[:80]}", status_code=422)
        reference = client.reference_of(data.key)
        percent = await discount_of(mesh, data.cart_id, data.coupon, reference, about=data.about)
        try:
            placed = await client.place(data.key, order_of(data, reference, percent))
        except Retry as error:
            return retry_later(503, str(error), seconds=1)
        match placed:
            case OrderRefused(reason):
                return problem(422, reason)
            case OrderTaken(order_id):
                return Response(msgspec.json.encode({"order_id": order_id}), media_type="application/json")

    return place_order


def order_of(checkout: Checkout, reference: str, percent: int) -> dict[str, Any]:
    """The body of `POST /v1/orders`. It follows from the checkout alone, so that it is the same each time."""
    address = {name: value for name, value in msgspec.structs.asdict(checkout.delivery).items() if value is not None}
    order = {
        "lines": [{"product_id": one, "quantity": pieces} for one, pieces in checkout.lines.items()],
        "total": {"amount": checkout.total.amount, "currency": checkout.total.currency},
        "payment_method": TOKENS.get(checkout.card) or f"card_{hashlib.sha256(reference.encode()).hexdigest()[:24]}",
        "reference": reference,
        "address": address,
        "visitor_id": checkout.visitor_id,
        "customer_id": None if checkout.visitor_id else f"guest-{reference}",
        "cart_id": checkout.cart_id,
        "coupon": checkout.coupon if percent else None,
        "billing": {"name": checkout.delivery.name, **ABROAD} if checkout.card == "abroad" else None,
    }
    return {name: value for name, value in order.items() if value is not None}
