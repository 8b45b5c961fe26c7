"""Examples: requests that a reader of the documentation can send as they are, from a view to a confirmed order."""

from datetime import datetime
from typing import Any

_PRICE = {"amount": 1299, "currency": "EUR"}
_LINES = [{"product_id": "sku-1", "quantity": 2, "price": _PRICE, "name": "Tea tin"}]
_TOTAL = {"amount": 2598, "currency": "EUR"}


def examples(now: datetime) -> dict[str, Any]:
    """Name -> summary and body of a request to `/v1/events`, with the times of its events at `now`."""
    time = now.isoformat(timespec="seconds").replace("+00:00", "Z")

    def sent(id_: str, type_: str, **fields: Any) -> dict[str, Any]:
        return {"id": id_, "type": type_, "time": time, **fields}

    def page(id_: str, type_: str, **fields: Any) -> dict[str, Any]:
        return sent(id_, type_, visitor_id="visitor-1", **fields)

    order = {"order_id": "1001", "cart_id": "cart-1", "lines": _LINES, "total": _TOTAL}
    return {
        "view": {
            "summary": "A product page is opened (1299 is 12.99 EUR: amounts are whole cents)",
            "value": {"events": [page("evt-1", "product_viewed", product_id="sku-1", category="tea", price=_PRICE)]},
        },
        "cart": {
            "summary": "A cart after a change, with all its lines",
            "value": {"events": [page("evt-2", "cart_updated", cart_id="cart-1", lines=_LINES)]},
        },
        "shopper": {
            "summary": "A shopper signs in and may be written to",
            "value": {
                "events": [
                    page("evt-3", "customer_identified", email="ann@example.com"),
                    page("evt-4", "consent_changed", channel="email", granted=True),
                ]
            },
        },
        "order": {
            "summary": "The thank-you page is opened: no offer is sent any more",
            "value": {"events": [page("evt-5", "order_placed", **order)]},
        },
        "confirmed": {
            "summary": "The shop's server confirms the order, which counts as revenue (server key)",
            "value": {"events": [sent("evt-6", "order_confirmed", **order)]},
        },
        "catalogue": {
            "summary": "The shop's server lists a product (server key)",
            "value": {"events": [sent("evt-7", "product_listed", product_id="sku-1", name="Tea tin", price=_PRICE)]},
        },
    }
