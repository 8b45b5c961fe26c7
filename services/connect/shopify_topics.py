"""Topics of Shopify's webhooks, and what each means here (https://shopify.dev/docs/api/webhooks)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mesh.errors import InvalidField
from services.connect.amounts import minor_units
from services.connect.names import plain_id, visitor_of
from services.connect.times import moment
from services.connect.webhook import Fields, Webhook, inner, many, required, text, whole_name

VISITOR = "cartmesh_visitor_id"
"""The attribute of a cart in which a storefront notes its visitor's id, so that the cart is the visitor's here."""
PAID = ("paid", "partially_refunded")
CURRENCY = "the webhook has no currency: set CARTMESH_SHOPIFY_CURRENCY"


@dataclass(frozen=True)
class Shop:
    """What is known of the shops that no webhook says."""

    currency: str


def _at(webhook: Webhook, name: str) -> None:
    webhook.shared["time"] = moment(webhook.body.get(name), f"$.{name}").isoformat()


def _token(value: Any) -> str:
    """A cart's token without the key that newer ones carry (`Z2NwLXVz...?key=...`)."""
    return plain_id(value.partition("?")[0] if isinstance(value, str) else value)


def _whose(webhook: Webhook, cart: str) -> None:
    """Who it is about: the visitor whom the storefront noted, else one for each cart, customer or order."""
    body, customer = webhook.body, plain_id(inner(webhook.body, "customer").get("id"))
    noted = None
    for name in ("note_attributes", "attributes"):
        found = body.get(name)
        if isinstance(found, dict):
            noted = noted or plain_id(found.get(VISITOR))
        elif isinstance(found, list):
            named = [one.get("value") for one in found if isinstance(one, dict) and one.get("name") == VISITOR]
            noted = noted or (plain_id(named[0]) if named else None)
    own = plain_id(body.get("id"))
    name = f"cart-{cart}" if cart else f"customer-{customer}" if customer else f"order-{own}" if own else ""
    if not noted and not name:
        raise InvalidField("$.id", "missing")
    webhook.shared["visitor_id"] = noted or visitor_of("shopify", name)
    if customer:
        webhook.shared["customer_id"] = customer


def _lines(webhook: Webhook, currency: str) -> list[Fields]:
    lines = []
    for at, item in enumerate(many(webhook.body, "line_items")):
        where = f"$.line_items[{at}]"
        if not isinstance(item, dict):
            raise InvalidField(where, "a line is a JSON object")
        money = inner(inner(item, "price_set"), "shop_money")
        price = minor_units(
            money.get("amount", item.get("price")),
            money.get("currency_code") or currency,
            f"{where}.price",
            currency_at=f"$.currency: {CURRENCY}" if not currency else "",
        )
        known_ids = [one for one in ("variant_id", "product_id", "sku") if item.get(one) not in (None, "")]
        named = known_ids[0] if known_ids else "product_id"
        known = {"name": text(item.get("title")), "brand": text(item.get("vendor"))}
        line = {"product_id": required(item, named, where), "quantity": item.get("quantity"), "price": price}
        lines.append(line | {name: value for name, value in known.items() if value})
    return lines


def _person(webhook: Webhook, email: Any, name: str | None, locale: Any) -> None:
    if text(email):
        webhook.add("customer_identified", email=text(email), name=name, locale=text(locale))


def _cart(webhook: Webhook, shop: Shop) -> None:
    """carts/create, carts/update: the whole cart."""
    cart = _token(webhook.body.get("token") or webhook.body.get("id"))
    if not cart:
        raise InvalidField("$.token", "missing")
    webhook.certain |= {"type": "cart_updated", "cart_id": cart}
    _whose(webhook, cart)
    _at(webhook, "updated_at")
    webhook.add("cart_updated", cart_id=cart, lines=_lines(webhook, shop.currency))


def _checkout(webhook: Webhook, _: Shop) -> None:
    """checkouts/create, checkouts/update: the cart with its prices, and who buys."""
    cart = _token(webhook.body.get("cart_token") or webhook.body.get("token"))
    if not cart:
        raise InvalidField("$.cart_token", "missing")
    _whose(webhook, cart)
    _at(webhook, "updated_at")
    webhook.certain |= {"type": "cart_updated", "cart_id": cart}
    customer = inner(webhook.body, "customer")
    name = whole_name(customer) or whole_name(inner(webhook.body, "shipping_address"))
    _person(webhook, webhook.body.get("email") or customer.get("email"), name, webhook.body.get("customer_locale"))
    if webhook.body.get("buyer_accepts_marketing") is True:
        webhook.add("consent_changed", channel="email", granted=True)
    webhook.add("checkout_started", cart_id=cart)
    if not webhook.body.get("completed_at"):
        webhook.add("cart_updated", cart_id=cart, lines=_lines(webhook, str(webhook.body.get("currency") or "")))


def _cancelled(webhook: Webhook, currency: str) -> None:
    """That an order was cancelled, where its body says so. Shopify cancels whole orders alone."""
    body = webhook.body
    reason = text(body.get("cancel_reason"))
    webhook.add(
        "order_cancellation_reported",
        order_id=required(body, "id"),
        time=moment(body.get("cancelled_at"), "$.cancelled_at").isoformat(),
        lines=_lines(webhook, currency),
        total=minor_units(body.get("total_price"), currency, "$.total_price", currency_at="$.currency"),
        asked_by="customer" if reason == "customer" else "shop",
        reason=reason or "",
    )


def _refunds(webhook: Webhook, refund: Fields, order_id: str, at: str) -> None:
    """The payments back of one refund that have succeeded, each by its own id: a refund may have none, or several."""
    for number, paid in enumerate(many(refund, "transactions")):
        where = f"{at}.transactions[{number}]"
        if not isinstance(paid, dict):
            raise InvalidField(where, "a transaction is a JSON object")
        if paid.get("kind") != "refund" or paid.get("status") != "success" or paid.get("test") is True:
            continue
        when = paid.get("processed_at") or refund.get("processed_at") or refund.get("created_at")
        webhook.add(
            "order_refund_reported",
            order_id=order_id,
            refund_id=required(paid, "id", where),
            time=moment(when, f"{at}.created_at").isoformat(),
            amount=minor_units(paid.get("amount"), paid.get("currency"), f"{where}.amount"),
        )


def _refund(webhook: Webhook, _: Shop) -> None:
    """refunds/create: what was paid back."""
    webhook.certain["type"] = "order_refund_reported"
    _refunds(webhook, webhook.body, required(webhook.body, "order_id"), "$")
    webhook.nothing = "nothing was paid back, or not yet"


def _ended(webhook: Webhook, _: Shop) -> None:
    """orders/cancelled: the order, and what was paid back with it."""
    if webhook.body.get("test") is True:
        webhook.nothing = "a test order: it counts nothing"
        return
    webhook.certain["type"] = "order_cancellation_reported"
    _whose(webhook, _token(webhook.body.get("cart_token")))
    _cancelled(webhook, str(webhook.body.get("currency") or ""))
    _all_refunds(webhook)


def _all_refunds(webhook: Webhook) -> None:
    for at, refund in enumerate(many(webhook.body, "refunds")):
        if isinstance(refund, dict):
            _refunds(webhook, refund, required(webhook.body, "id"), f"$.refunds[{at}]")


def _changed(webhook: Webhook, shop: Shop) -> None:
    """orders/updated: confirmed where it is paid, cancelled where it says so, and all that was paid back."""
    _order("order_confirmed", "updated_at")(webhook, shop)
    if webhook.body.get("test") is True:
        return
    if webhook.body.get("cancelled_at"):
        _cancelled(webhook, str(webhook.body.get("currency") or ""))
    _all_refunds(webhook)


def _order(type_: str, at: str) -> Callable[[Webhook, Shop], None]:
    def read(webhook: Webhook, _: Shop) -> None:
        body = webhook.body
        if body.get("test") is True:
            webhook.nothing = "a test order: it counts nothing"
            return
        cart = _token(body.get("cart_token"))
        webhook.certain |= {"type": type_} | ({"cart_id": cart} if cart else {})
        _whose(webhook, cart)
        webhook.certain["order_id"] = required(body, "id")
        _at(webhook, at)
        if type_ == "order_confirmed" and (body.get("financial_status") not in PAID or body.get("cancelled_at")):
            webhook.nothing = "the order is not paid, or was cancelled: it counts once its body says that it is paid"
            return
        currency = str(body.get("currency") or "")
        codes = [one.get("code") for one in many(body, "discount_codes") if isinstance(one, dict)]
        order = {
            "lines": _lines(webhook, currency),
            "total": minor_units(body.get("total_price"), currency, "$.total_price", currency_at="$.currency"),
            "coupon": text(codes[0]) if codes else None,
        }
        customer = inner(body, "customer")
        _person(webhook, body.get("email") or customer.get("email"), whole_name(customer), body.get("customer_locale"))
        webhook.add(type_, order_id=webhook.certain["order_id"], cart_id=cart or None, **order)

    return read


def _product(webhook: Webhook, shop: Shop) -> None:
    """products/create, products/update: each variant is a product, those of one product are a group."""
    body, group = webhook.body, required(webhook.body, "id")
    _at(webhook, "updated_at")
    if not shop.currency:
        raise InvalidField("$.variants[0].price", CURRENCY)
    active = body.get("status", "active") == "active" and body.get("published_at", "") is not None
    title = text(body.get("title"))
    for at, variant in enumerate(many(body, "variants")):
        where = f"$.variants[{at}]"
        if not isinstance(variant, dict):
            raise InvalidField(where, "a variant is a JSON object")
        own = text(variant.get("title"))
        stocked = variant.get("inventory_management") is None or variant.get("inventory_policy") == "continue"
        left = variant.get("inventory_quantity")
        webhook.add(
            "product_listed",
            product_id=required(variant, "id", where),
            group=group,
            name=f"{title} {own}" if title and own and own != "Default Title" else title,
            category=text(body.get("product_type")),
            brand=text(body.get("vendor")),
            price=minor_units(variant.get("price"), shop.currency, f"{where}.price"),
            image=text(inner(body, "image").get("src")),
            available=active and (stocked or (isinstance(left, int) and left > 0)),
            recommendable=active,
        )


def _customer(webhook: Webhook, _: Shop) -> None:
    """customers/create, customers/update: address and name, and whether they may be mailed."""
    customer = required(webhook.body, "id")
    webhook.shared |= {"customer_id": customer, "visitor_id": visitor_of("shopify", f"customer-{customer}")}
    _at(webhook, "updated_at")
    _person(webhook, webhook.body.get("email"), whole_name(webhook.body), webhook.body.get("locale"))
    state = inner(webhook.body, "email_marketing_consent").get("state")
    if state in ("subscribed", "unsubscribed"):
        webhook.add("consent_changed", channel="email", granted=state == "subscribed")


TOPICS: dict[str, Callable[[Webhook, Shop], None]] = {
    "carts/create": _cart,
    "carts/update": _cart,
    "checkouts/create": _checkout,
    "checkouts/update": _checkout,
    "orders/create": _order("order_placed", "created_at"),
    "orders/paid": _order("order_confirmed", "updated_at"),
    "orders/updated": _changed,
    "orders/cancelled": _ended,
    "refunds/create": _refund,
    "products/create": _product,
    "products/update": _product,
    "customers/create": _customer,
    "customers/update": _customer,
}
TYPES = frozenset(
    {
        "cart_updated",
        "checkout_started",
        "consent_changed",
        "customer_identified",
        "order_cancellation_reported",
        "order_confirmed",
        "order_placed",
        "order_refund_reported",
        "product_listed",
    }
)
"""All that a shop's webhooks may say."""
