"""Segment's commerce events (https://segment.com/docs/connections/spec/ecommerce/v2/) as events here."""

from collections.abc import Callable
from typing import Any

from mesh.accept import SERVER
from mesh.errors import InvalidField
from services.connect.amounts import minor_units
from services.connect.names import plain_id
from services.connect.segment_call import Call, Fields

Mapping = Callable[[Call], list[Fields]]
"""What a call means, as the fields of one event or several. Raises InvalidField with the path in the call."""
AT = "$.properties"


def _required_id(value: Any, at: str) -> str:
    found = plain_id(value)
    if not found:
        raise InvalidField(at, "missing" if value in (None, "") else "it must be a text or a whole number")
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _known(**fields: Any) -> Fields:
    """The fields that are known."""
    return {name: value for name, value in fields.items() if value is not None}


def mapping_of(name: str) -> Mapping | None:
    """What an event of this name means, in any case and with any spaces; None for one that means nothing here."""
    return COMMERCE.get(name) or COMMERCE.get(" ".join(name.split()).title())


def _product_id(product: Fields, at: str) -> str:
    """A variant that is named is what was bought; else the product; else its SKU."""
    for name in ("product_id", "productId", "id", "sku"):
        if (given := product.get(name)) is not None and given != "":
            return _required_id(given, f"{at}.{name}")
    raise InvalidField(f"{at}.product_id", "missing")


def _details(product: Fields) -> Fields:
    return _known(
        name=_text(product.get("name")),
        category=_text(product.get("category")),
        brand=_text(product.get("brand")),
        image=_text(product.get("image_url")),
        url=_text(product.get("url")),
    )


def _quantity(product: Fields, at: str) -> int:
    given = product.get("quantity", 1)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, str) and given.strip().isascii() and given.strip().isdigit() and len(given) < 10:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidField(f"{at}.quantity", "a quantity is a whole number")
    return given


def _line(product: Any, currency: Any, at: str) -> Fields:
    if not isinstance(product, dict):
        raise InvalidField(at, "a product is a JSON object")
    price = minor_units(
        product.get("price"), product.get("currency", currency), f"{at}.price", currency_at=f"{AT}.currency"
    )
    return {
        "product_id": _product_id(product, at),
        "quantity": _quantity(product, at),
        "price": price,
        **_details(product),
    }


def _lines(properties: Fields) -> list[Fields]:
    products = properties.get("products")
    if not isinstance(products, list):
        raise InvalidField(f"{AT}.products", "a list of products" if products is not None else "missing")
    currency = properties.get("currency")
    return [_line(one, currency, f"{AT}.products[{at}]") for at, one in enumerate(products)]


def cart_of(properties: Fields, shared: Fields) -> str:
    """The cart that a call is about: the one that it names, else the one cart of its visitor."""
    given = properties.get("cart_id", properties.get("cartId"))
    return _required_id(given, f"{AT}.cart_id") if given not in (None, "") else f"of-{shared['visitor_id']}"[:128]


def _viewed(call: Call) -> list[Fields]:
    product = call.properties
    found = {"type": "product_viewed", "product_id": _product_id(product, AT), **_device(call)}
    for name in ("category", "brand"):
        if (text := _text(product.get(name))) is not None:
            found[name] = text
    if product.get("price") is not None and product.get("currency"):
        found["price"] = minor_units(product["price"], product["currency"], f"{AT}.price")
    return [found]


def _searched(call: Call) -> list[Fields]:
    query = _text(call.properties.get("query"))
    if query is None:
        raise InvalidField(f"{AT}.query", "missing")
    return [{"type": "product_searched", "query": query}]


def _added(call: Call) -> list[Fields]:
    product = call.properties
    call.shared.update({"type": "cart_line_added", "cart_id": cart_of(product, call.shared)})
    return [_line(product, product.get("currency"), AT) | _device(call)]


def _removed(call: Call) -> list[Fields]:
    product = call.properties
    call.shared.update({"type": "cart_line_removed", "cart_id": cart_of(product, call.shared)})
    quantity = _known(quantity=_quantity(product, AT) if product.get("quantity") is not None else None)
    return [{"product_id": _product_id(product, AT), **quantity, **_device(call)}]


def _cart_viewed(call: Call) -> list[Fields]:
    properties = call.properties
    call.shared.update({"type": "cart_updated", "cart_id": cart_of(properties, call.shared)})
    return [{"lines": _lines(properties), **_device(call)}]


def _checkout(call: Call) -> list[Fields]:
    return [{"type": "checkout_started", "cart_id": cart_of(call.properties, call.shared)}]


def _ordered(call: Call) -> list[Fields]:
    """A page's report stops offers; the shop's own server's counts as revenue too."""
    properties = call.properties
    call.shared["type"] = "order_confirmed" if call.by == SERVER else "order_placed"
    call.shared["cart_id"] = cart_of(properties, call.shared)
    order_id = properties.get("order_id", properties.get("orderId"))
    currency = properties.get("currency")
    total = next((name for name in ("total", "revenue", "value") if properties.get(name) is not None), "total")
    return [
        {
            "order_id": _required_id(order_id, f"{AT}.order_id"),
            "lines": _lines(properties),
            "total": minor_units(properties.get(total), currency, f"{AT}.{total}", currency_at=f"{AT}.currency"),
            **_known(coupon=_text(properties.get("coupon"))),
        }
    ]


def _device(call: Fields) -> Fields:
    """The kind of device, where the library says it."""
    device = call.context.get("device")
    kind = _text(device.get("type")) if isinstance(device, dict) else None
    return {} if kind is None else {"device": kind}


COMMERCE: dict[str, Mapping] = {
    "Product Viewed": _viewed,
    "Product Clicked": _viewed,
    "Products Searched": _searched,
    "Product Added": _added,
    "Product Removed": _removed,
    "Cart Viewed": _cart_viewed,
    "Checkout Started": _checkout,
    "Order Completed": _ordered,
}
"""Segment's name of an event, and what it means here."""
