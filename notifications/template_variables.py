"""Content: what a template is given of an offer. The names here are the marketers' vocabulary."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from mesh.channels import EMAIL, ChannelName
from mesh.discounts import taken_off
from mesh.events.cart import CartLine
from mesh.events.offer import OfferDecided
from mesh.events.user import Recommendation
from mesh.money import Money
from notifications.click_links import ClickLinks
from notifications.journeys.triggers import has_cart
from notifications.saved_cart_token import PARAMETER
from notifications.shopper_profile import ShopperProfile

DEMO_ORDER_PATH = "/{language}/orders/{order_id}"


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """The shop as shoppers know it; `shop_url` is where its carts are, by default the demo shop beside.

    `shop_address` is the sender's postal address in one line, which the law of many countries wants in such mails.
    `shop_order_path` is the page where a buyer sees an order, such as `/{language}/orders/{order_id}`, as it is in the
    demo shop; a shop at a `shop_url` of its own names its own, or mails about orders link to none.
    """

    shop_name: str = "Cartmesh Shop"
    shop_address: str = ""
    shop_url: str = ""
    shop_order_path: str = ""
    url_storefront: str = "http://127.0.0.1:8080"

    @property
    def url(self) -> str:
        """Where the shop is, without a slash at the end."""
        return (self.shop_url or self.url_storefront).rstrip("/")

    def order_url(self, order_id: str) -> str | None:
        """Where the buyer of an order sees it; None where the shop names no such page.

        What stands there as `{language}` the template replaces by the mail's.
        """
        path = self.shop_order_path or ("" if self.shop_url else DEMO_ORDER_PATH)
        return f"{self.url}/{path.lstrip('/').replace('{order_id}', order_id)}" if path else None


def template_variables(
    decided: OfferDecided,
    profile: ShopperProfile,
    shop: Shop,
    *,
    left_at: datetime,
    unsubscribe_url: str,
    preferences_url: str = "",
    saved_cart: str = "",
    channel: ChannelName = EMAIL.name,
) -> dict[str, Any]:
    """Values for a template, made of plain types only. Money is `{"amount", "currency"}` in minor units.

    Links to the shop name the offer, so that its pages can report who followed them. `saved_cart` is the token by which
    the shop shows the cart on any device.
    """
    links = ClickLinks.of(decided, shop.url, channel)
    total = decided.total or sum_of(decided.lines)
    before = {line.product_id: decided.prices_before[line.product_id] for line in reduced_lines(decided)}
    reduced, fixed = None, decided.discount if decided.discount and decided.discount.kind == "amount" else None
    if fixed:
        reduced = msgspec.structs.replace(total, amount=total.amount - taken_off(fixed, total).amount)
    elif decided.discount_percent:
        reduced = msgspec.structs.replace(total, amount=total.amount * (100 - decided.discount_percent) // 100)
    return msgspec.to_builtins(
        {
            "shop": {"name": shop.shop_name, "url": shop.url, "address": shop.shop_address},
            "customer": {"name": _name(profile.name)},
            "trigger": decided.trigger,
            "lines": [_line(line, links, before) for line in decided.lines],
            "recommended": [_recommended(one, n, links) for n, one in enumerate(decided.recommended, 1)],
            "count": sum(line.quantity for line in decided.lines),
            "total": total,
            "reduced": reduced,
            "coupon": decided.coupon,
            "discount_percent": decided.discount_percent,
            "discount_kind": decided.discount.kind if decided.discount else "percentage",
            "discount_amount": taken_off(fixed, total) if fixed else None,
            "left_at": left_at,
            "time_zone": profile.time_zone,
            "cart_url": links.to_offer(cart_url(decided, shop, saved_cart)),
            "unsubscribe_url": unsubscribe_url,
            "preferences_url": preferences_url,
        }
    )


def confirmation_variables(shop: Shop, confirm_url: str) -> dict[str, Any]:
    """Values for the mail that asks an address to confirm: nothing in them is what a page sent."""
    return {
        "shop": {"name": shop.shop_name, "url": shop.url, "address": shop.shop_address},
        "confirm_url": confirm_url,
        "lines": [],
        "recommended": [],
    }


def cart_url(decided: OfferDecided, shop: Shop, saved: str = "") -> str:
    """Where the shopper finds the cart again, the coupon applied. Keys are tokens, so nothing needs quoting.

    Where there is no cart it is the product that was looked at last, or the shop, which keeps the coupon for the cart
    that its shopper fills there. `about` is then what the offer is about, by which the shop finds it.
    """
    if not has_cart(decided.trigger):
        place = next((line.url for line in decided.lines if line.url), None) or shop.url
        asked = {"offer": decided.offer_id, "coupon": decided.coupon, "about": decided.cart_id}
        return _asking(place, asked) if decided.coupon else place
    coupon = f"&coupon={decided.coupon}" if decided.coupon else ""
    token = f"&{PARAMETER}={saved}" if saved else ""
    return f"{shop.url}/cart/{decided.cart_id}?offer={decided.offer_id}{coupon}{token}"


def _asking(url: str, asked: Mapping[str, str | None]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(asked))))))


def sum_of(lines: tuple[CartLine, ...]) -> Money:
    """What the lines cost together; they are of one currency."""
    return Money.sum(line.price * line.quantity for line in lines) or Money(amount=0, currency="EUR")


def reduced_lines(decided: OfferDecided) -> list[CartLine]:
    """The lines that cost less than before."""
    before = decided.prices_before
    return [
        line
        for line in decided.lines
        if line.product_id in before and line.price.amount < before[line.product_id].amount
    ]


def _name(name: str | None) -> str | None:
    """The name in one line; None where there is no letter or digit in it, such as one of spaces."""
    return " ".join(name.split()) if name and any(sign.isalnum() for sign in name) else None


def _line(line: CartLine, links: ClickLinks, before: Mapping[str, Money]) -> dict[str, Any]:
    url, earlier = links.to_offer(line.url) if line.url else None, before.get(line.product_id)
    more = {"url": url, "sum": line.price * line.quantity, "price_before": earlier}
    return {**msgspec.structs.asdict(line), **more}


def _recommended(one: Recommendation, position: int, links: ClickLinks) -> Recommendation:
    """A recommended product; `position` is where it stands among them, from 1."""
    if one.url is None:
        return one
    return msgspec.structs.replace(one, url=links.to_product(one.url, one.product_id, position))
