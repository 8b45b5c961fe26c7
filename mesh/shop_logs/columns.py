"""Columns: the names and event types that shops use in their logs, under one name each."""

import re

COLUMNS = {
    "event_time": ("timestamp", "time", "datetime", "date_time", "date", "ts", "event_timestamp", "created_at"),
    "event_type": ("event", "type", "action", "event_name"),
    "product_id": ("productid", "product", "item_id", "itemid", "item", "sku"),
    "user_id": ("userid", "user", "visitor_id", "visitorid", "visitor", "customer_id", "customerid", "client_id"),
    "user_session": ("session_id", "sessionid", "session"),
    "category_code": ("category", "category_name"),
    "brand": (),
    "price": ("unit_price", "product_price", "item_price"),
    "name": ("product_name", "item_name", "title"),
    "time_zone": ("timezone", "tz"),
    "device": ("device_type",),
    "locale": ("language",),
    "referrer": ("referer",),
    "utc_offset": (),
}
"""Every column that is read, with other names that it is known by."""

EVENT_TYPES = {
    "view": ("product_view", "productview", "viewed", "view_item", "product_viewed"),
    "cart": ("addtocart", "add_to_cart", "cart_add", "added_to_cart"),
    "remove_from_cart": ("removefromcart", "removed_from_cart", "cart_remove"),
    "purchase": ("transaction", "order", "buy", "bought", "purchased"),
}
"""Every event type, with other names that it is known by."""

_OTHER = re.compile(r"[^a-z0-9]+")


def plain(name: str) -> str:
    """A name in lower case, with `_` for everything but letters and digits."""
    return _OTHER.sub("_", name.lower()).strip("_")


def matched(there: list[str]) -> dict[str, str]:
    """Column -> the name it has among those that are there. Its own name wins, then the order of `COLUMNS`."""
    names: dict[str, str] = {}
    for name in there:
        names.setdefault(plain(name), name)
    found = {}
    for column, others in COLUMNS.items():
        if known := next((names[name] for name in (column, *others) if name in names), None):
            found[column] = known
    return found
