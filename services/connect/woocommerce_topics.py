"""Topics of WooCommerce's webhooks, and what each means here.

Their bodies are those of its REST API (https://woocommerce.github.io/woocommerce-rest-api-docs/).
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mesh.errors import InvalidField
from mesh.money import minor_digits
from services.connect.amounts import minor_units
from services.connect.names import plain_id, visitor_of
from services.connect.times import moment
from services.connect.webhook import Fields, Webhook, inner, many, required, text, whole_name

VISITOR, CART = "cartmesh_visitor_id", "cartmesh_cart_id"
"""The order's meta data in which a storefront notes its visitor's id and the cart's."""
NO_ORDER = ("checkout-draft", "auto-draft", "trash", "failed", "cancelled")
PAID = ("processing", "completed")


@dataclass(frozen=True)
class Shop:
    """What is known of the shops that no webhook says."""

    currency: str


def _at(webhook: Webhook, name: str) -> None:
    """Fields that end in `_gmt` are in UTC and have no zone."""
    webhook.shared["time"] = moment(webhook.body.get(name), f"$.{name}", zone=False).isoformat()


def _noted(webhook: Webhook, key: str) -> str:
    for one in many(webhook.body, "meta_data"):
        if isinstance(one, dict) and one.get("key") == key:
            return plain_id(one.get("value"))
    return ""


def _unit_price(item: Fields, currency: str, at: str) -> Fields:
    """What a piece costs: WooCommerce has the line's total, and divides it into a price of many places."""
    quantity = item.get("quantity")
    if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 1:
        raise InvalidField(f"{at}.quantity", "a quantity is a whole number from 1")
    total = minor_units(item.get("total"), currency, f"{at}.total", currency_at="$.currency")
    piece = (Decimal(total["amount"]) / quantity).to_integral_value(ROUND_HALF_UP)
    return {"amount": int(piece), "currency": total["currency"]}


def _lines(webhook: Webhook, currency: str) -> list[Fields]:
    lines = []
    for at, item in enumerate(many(webhook.body, "line_items")):
        where = f"$.line_items[{at}]"
        if not isinstance(item, dict):
            raise InvalidField(where, "a line is a JSON object")
        named = "variation_id" if item.get("variation_id") not in (None, "", 0) else "product_id"
        image = text(inner(item, "image").get("src"))
        known = {"name": text(item.get("name")), "image": image}
        line = {
            "product_id": required(item, named, where),
            "quantity": item.get("quantity"),
            "price": _unit_price(item, currency, where),
        }
        lines.append(line | {name: value for name, value in known.items() if value})
    return lines


def _person(webhook: Webhook, fields: Fields) -> None:
    if text(fields.get("email")):
        webhook.add("customer_identified", email=text(fields.get("email")), name=whole_name(fields))


def _order(webhook: Webhook, _: Shop) -> None:
    """order.created, order.updated: placed at once, confirmed when the body says that it is paid."""
    body, billing = webhook.body, inner(webhook.body, "billing")
    status = body.get("status")
    customer = "" if body.get("customer_id") in (None, 0, "0") else plain_id(body.get("customer_id"))
    order_id = required(body, "id")
    paid = status in PAID or (bool(body.get("date_paid_gmt")) and status not in (*NO_ORDER, "refunded"))
    kind = "order_confirmed" if paid else "order_placed"
    cart = _noted(webhook, CART) or None
    webhook.certain |= {"type": kind, "order_id": order_id} | ({"cart_id": cart} if cart else {})
    noted = _noted(webhook, VISITOR)
    own = f"customer-{customer}" if customer else f"order-{order_id}"
    webhook.shared["visitor_id"] = noted or visitor_of("woocommerce", own)
    if customer:
        webhook.shared["customer_id"] = customer
    if status in (*NO_ORDER, "refunded"):
        webhook.certain.clear()
        webhook.nothing = f"an order with the status {status} counts nothing"
        return
    _at(webhook, "date_modified_gmt" if paid else "date_created_gmt")
    currency = str(body.get("currency") or "")
    codes = [one.get("code") for one in many(body, "coupon_lines") if isinstance(one, dict)]
    order: dict[str, Any] = {
        "order_id": order_id,
        "cart_id": cart,
        "lines": _lines(webhook, currency),
        "total": minor_units(body.get("total"), currency, "$.total", currency_at="$.currency"),
        "coupon": text(codes[0]) if codes else None,
    }
    _person(webhook, billing)
    webhook.add(kind, **order)


def _product(webhook: Webhook, shop: Shop) -> None:
    """product.created, product.updated: one product, or one variation of a group."""
    body = webhook.body
    if not shop.currency:
        raise InvalidField("$.price", "the webhook has no currency: set CARTMESH_WOOCOMMERCE_CURRENCY")
    if body.get("type") == "variable":
        webhook.nothing = "a product with variations has no price of its own; its variations count"
        return
    _at(webhook, "date_modified_gmt")
    webhook.shared["product_id"] = required(body, "id")
    public = body.get("status") == "publish"
    parent = "" if body.get("parent_id") in (None, 0, "0") else plain_id(body.get("parent_id"))
    categories = [one.get("name") for one in many(body, "categories") if isinstance(one, dict)]
    images = [one.get("src") for one in many(body, "images") if isinstance(one, dict)]
    webhook.add(
        "product_listed",
        group=parent or None,
        name=text(body.get("name")),
        category=text(categories[0]) if categories else None,
        price=minor_units(_exact(body.get("price"), shop.currency), shop.currency, "$.price"),
        image=text(images[0]) if images else None,
        url=text(body.get("permalink")),
        available=public and body.get("stock_status") in ("instock", "onbackorder"),
        recommendable=public,
    )


def _exact(price: Any, currency: str) -> Any:
    """A price as text without zeros behind what its currency has, as `12.990000`."""
    if not isinstance(price, str) or "." not in price:
        return price
    whole, _, places = price.partition(".")
    digits = minor_digits(currency)
    return f"{whole}.{places[:digits]}" if not places[digits:].strip("0") and digits else price


def _customer(webhook: Webhook, _: Shop) -> None:
    """customer.created, customer.updated: address and name."""
    customer = required(webhook.body, "id")
    webhook.shared |= {"customer_id": customer, "visitor_id": visitor_of("woocommerce", f"customer-{customer}")}
    _at(webhook, "date_modified_gmt")
    _person(webhook, webhook.body)


TOPICS: dict[str, Callable[[Webhook, Shop], None]] = {
    "order.created": _order,
    "order.updated": _order,
    "product.created": _product,
    "product.updated": _product,
    "customer.created": _customer,
    "customer.updated": _customer,
}
TYPES = frozenset({"customer_identified", "order_confirmed", "order_placed", "product_listed"})
"""All that a shop's webhooks may say."""
