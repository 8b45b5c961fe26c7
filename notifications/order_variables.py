"""Order variables: what a template is given of an order. The names here are the marketers' vocabulary."""

from typing import Any

import msgspec

from mesh.events.cart import CartLine
from mesh.events.order import OrderCreated
from mesh.money import Money
from notifications.template_variables import Shop, sum_of


def order_variables(
    order: OrderCreated,
    shop: Shop,
    *,
    lines: tuple[CartLine, ...],
    name: str | None = None,
    time_zone: str | None = None,
    cause: str | None = None,
    partial: bool = False,
    refund: Money | None = None,
    carrier: str | None = None,
    tracking: str | None = None,
    tracking_url: str | None = None,
) -> dict[str, Any]:
    """Values for a template of kind `order`, made of plain types only. Money is `{"amount", "currency"}`.

    `lines` are what the mail is about: what remains of the order, or what was cancelled of it (`partial`: and more
    remains). `cause` of a cancellation is customer, shop, payment or sold_out; `refund` is what is paid back by it.
    `order.url` is the order's page of the shop, `tracking_url` the carrier's page of the parcel, where there are such.
    """
    return msgspec.to_builtins(
        {
            "shop": {"name": shop.shop_name, "url": shop.url, "address": shop.shop_address},
            "customer": {"name": name if name and any(sign.isalnum() for sign in name) else None},
            "order": {
                "id": order.order_id,
                "number": order.reference or order.order_id[:8].upper(),
                "url": shop.order_url(order.order_id),
            },
            "lines": [{**msgspec.structs.asdict(line), "sum": line.price * line.quantity} for line in lines],
            "recommended": [],
            "total": sum_of(lines),
            "cause": cause,
            "partial": partial,
            "refund": refund,
            "carrier": carrier,
            "tracking": tracking,
            "tracking_url": tracking_url,
            "time_zone": time_zone,
        }
    )
