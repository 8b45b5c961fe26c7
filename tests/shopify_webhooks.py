"""What a Shopify shop sends: the bodies of its webhooks, and the secrets that it signs with."""

from datetime import UTC, datetime, timedelta
from typing import Any

SECRET, OLD = "shpss_0123456789abcdef", "shpss_fedcba9876543210"
LINE = {
    "id": 466157049,
    "variant_id": 39072856,
    "product_id": 632910392,
    "title": "Tea tin",
    "vendor": "Leaf",
    "quantity": 2,
    "price": "12.99",
}


def ago(seconds: float) -> str:
    """A time so many seconds ago."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def order(**more: Any) -> dict[str, Any]:
    """The body of an order."""
    return {
        "id": 820982911946154508,
        "created_at": ago(20),
        "updated_at": ago(10),
        "currency": "EUR",
        "total_price": "25.98",
        "financial_status": "paid",
        "cart_token": "c1-68778783ad298f1c80c3bafcddeea",
        "email": "jon@example.com",
        "customer": {"id": 115310627314723954, "email": "jon@example.com", "first_name": "Jon", "last_name": "Doe"},
        "customer_locale": "de",
        "discount_codes": [{"code": "SPRING"}],
        "line_items": [LINE],
        **more,
    }
