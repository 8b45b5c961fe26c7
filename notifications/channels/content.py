"""Content: what an offer shows, as the shop's catalogue has it at the moment of sending.

Anybody can send a cart with a page's key, so that names, links, pictures and prices are taken from `product.listed`,
which only the shop's servers may send. What is not listed keeps links and pictures to the shop's own hosts alone.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from mesh import Mesh, Received
from mesh.events.cart import CartLine
from mesh.events.offer import OfferDecided
from mesh.events.product import ProductListed
from mesh.events.user import Recommendation
from mesh.settings import read
from notifications.catalogue_prices import price_in
from notifications.template_variables import Shop, sum_of

Product = TypeVar("Product", CartLine, Recommendation)


class ContentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`shop_hosts`: hosts, besides the shop's own, to which products that are not in the catalogue may link."""

    shop_hosts: tuple[str, ...] = ()


async def current_content(decided: OfferDecided, mesh: Mesh) -> OfferDecided:
    """The offer with its lines and recommendations as the catalogue has them now, and the total of these lines.

    Lines that cannot be bought any more are left out; no lines are left where none can. Recommended is what can be
    bought, may be recommended, and costs money of the lines' currency, or of the total's where there are no lines.
    Raises Unavailable.
    """
    found = await mesh.last_of_each(ProductListed, _products(decided))
    return _as_listed(decided, {one: received.event for one, received in found.items()})


async def content_at(decided: Received[OfferDecided], at: datetime, mesh: Mesh) -> OfferDecided:
    """The same as the catalogue had it at a moment (aware UTC), by the log of the region that decided.

    Of another region as far as its log has arrived here. Raises Unavailable.
    """

    async def listed(product: str) -> ProductListed | None:
        if decided.region == mesh.region:
            history = await mesh.history(product, ProductListed)
        else:
            history = await mesh.history_elsewhere(decided.region, product, "product")
        return next((one.event for one in reversed(history.of(ProductListed)) if one.time <= at), None)

    products = _products(decided.event)
    found = dict(zip(products, await asyncio.gather(*map(listed, products)), strict=True))
    return _as_listed(decided.event, {product: event for product, event in found.items() if event})


def _products(decided: OfferDecided) -> list[str]:
    return list(dict.fromkeys(one.product_id for one in (*decided.lines, *decided.recommended)))


def _as_listed(decided: OfferDecided, listed: Mapping[str, ProductListed]) -> OfferDecided:
    hosts = own_hosts()
    lines = tuple(
        _current(line, listed.get(line.product_id), hosts, line.price.currency)
        for line in decided.lines
        if line.product_id not in listed or listed[line.product_id].available
    )
    currencies = {line.price.currency for line in lines}
    if not decided.lines and decided.total:
        currencies = {decided.total.currency}
    currency = min(currencies, default="")
    recommended = tuple(
        current
        for one in decided.recommended
        if one.product_id not in listed or _can_be_recommended(listed[one.product_id])
        if (current := _current(one, listed.get(one.product_id), hosts, currency)).price
        and current.price.currency == currency
    )
    total = decided.total if lines == decided.lines and decided.total else sum_of(lines)
    return msgspec.structs.replace(decided, lines=lines, recommended=recommended, total=total)


def own_hosts() -> frozenset[str]:
    """The hosts of the shop."""
    hosts = (urlsplit(read(Shop).url).hostname, *read(ContentSettings).shop_hosts)
    return frozenset(host.lower() for host in hosts if host)


def _current(product: Product, listed: ProductListed | None, hosts: frozenset[str], currency: str) -> Product:
    """As it is listed, at its price in a currency; at the price that it has where it is not listed with one."""
    given = {"url": _own(product.url, hosts), "image": _own(product.image, hosts)}
    if listed is not None:
        fields = ("name", "category", "brand", "url", "image")
        given |= {name: value for name in fields if (value := getattr(listed, name)) is not None}
        if (price := price_in(listed, currency)) is not None:
            return msgspec.structs.replace(product, **given, price=price)
    return msgspec.structs.replace(product, **given)


def _own(url: str | None, hosts: frozenset[str]) -> str | None:
    """The address if it leads to the shop."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname in hosts else None


def _can_be_recommended(listed: ProductListed) -> bool:
    return listed.available and listed.recommendable
