"""Examples: requests that a reader of the documentation can send as they are, and what the gateway responds."""

from datetime import datetime
from typing import Any

_PRICE = {"amount": 1299, "currency": "EUR"}
_LINES = [{"product_id": "sku-1", "quantity": 2, "price": _PRICE, "name": "Tea tin"}]
_TOTAL = {"amount": 2598, "currency": "EUR"}
VERDICTS = {
    "202": {
        "accepted": 2,
        "duplicates": 1,
        "rejected": [{"index": 2, "id": "evt-3", "path": "$.lines[0].quantity", "reason": "must be at least 1"}],
        "ignored": [{"index": 0, "id": "evt-1", "path": "$.colour", "reason": "unknown field"}],
    },
    "422": {
        "accepted": 0,
        "duplicates": 0,
        "rejected": [{"index": 0, "id": "evt-1", "path": "$.visitor_id", "reason": "is missing"}],
    },
}
"""What `POST /v1/events` responds, by status."""
FOREIGN_ANSWER = {
    "success": False,
    "accepted": 1,
    "duplicates": 0,
    "rejected": [{"index": 1, "id": "m-2", "path": "$.properties.price", "reason": "missing: a decimal number"}],
    "not_understood": [{"index": 2, "name": "Video Played", "reason": "no event here follows from it"}],
}
"""What the addresses for other systems' requests respond."""
REFUSED = {
    400: {"title": "Bad Request", "detail": 'the body must be {"events": [...]} in JSON: ...'},
    401: {"title": "Unauthorized", "detail": "send `Authorization: Bearer <write key>`; ..."},
    403: {"title": "Forbidden", "detail": "this key is not for pages of https://other.example; ..."},
    404: {"title": "Not Found", "detail": "this version is no longer served; /v1/tag prints today's tag"},
    408: {"title": "Request Timeout", "detail": "the body did not arrive within 15 s"},
    413: {"title": "Request Entity Too Large", "detail": "the body is over 1 MiB: send several requests"},
    415: {"title": "Unsupported Media Type", "detail": "Content-Encoding 'br': send gzip, or none"},
    429: {"title": "Too Many Requests", "detail": "too much at once: 500 events of 90000 bytes can be sent in 2.0 s"},
    503: {"title": "Service Unavailable", "detail": "JetStream of eu does not answer"},
}
"""Problem details, by status."""
LIVE_OFFERS = """\
retry: 2000

id: 4711
event: offer
data: {"offer_id":"of-1","cart_id":"cart-1","card":{"title":"10% off your cart","body":"Tea tin, EUR 23.38",\
"action":"Return to my cart","url":"https://shop.example/cart/cart-1","coupon":"BACK-7K3Q"}}

id: 4790
event: withdrawn
data: {"offer_id":"of-1","cart_id":"cart-1","card":null}

"""
"""A stream of live offers: one that is shown, and withdrawn once the visitor bought."""
RESPONSES = {
    "/v1/tag": (
        (
            "<script>window.cartmesh ||= []</script>\n"
            '<script async src="http://127.0.0.1:8080/v1/lib/9f86d081884c7d65/cartmesh.js"\n'
            '  integrity="sha384-..." crossorigin="anonymous"\n'
            '  data-key="demo" data-region="auto"></script>\n'
        ),
        "text/plain",
    ),
    "/v1/cartmesh.js": ("(() => { ... })()\n", "text/javascript"),
    "/v1/lib/{digest}/cartmesh.js": ("(() => { ... })()\n", "text/javascript"),
    "/v1/cartmesh-push.js": ("export const subscribe = ...\n", "text/javascript"),
    "/v1/cartmesh-worker.js": ("self.addEventListener(...)\n", "text/javascript"),
    "/v1/cartmesh.d.ts": ("interface Cartmesh { ... }\n", "text/plain"),
}
"""The beginning of what each file of the browser script holds, and its media type."""


def event_examples(now: datetime) -> dict[str, Any]:
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
        "search": {
            "summary": "A shopper searches, and then goes to the till",
            "value": {
                "events": [
                    page("evt-8", "product_searched", query="green tea", results=12),
                    page("evt-9", "checkout_started", cart_id="cart-1"),
                ]
            },
        },
        "recommended": {
            "summary": "Recommended products come into view, and one of them is clicked",
            "value": {
                "events": [
                    page(
                        "evt-10", "recommendation_shown", list_id="list-1", place="cart", product_ids=["sku-2", "sku-3"]
                    ),
                    page(
                        "evt-11",
                        "recommendation_clicked",
                        list_id="list-1",
                        place="cart",
                        product_id="sku-3",
                        position=2,
                    ),
                ]
            },
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
        "number": {
            "summary": "A shopper who gave a telephone number alone may be texted (server key)",
            "value": {
                "events": [
                    page("evt-12", "customer_identified", phone="+4915112345678"),
                    page("evt-13", "consent_changed", channel="sms", granted=True),
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
