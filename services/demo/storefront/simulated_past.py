"""Simulated shoppers of the last days, so that a shop that was opened a minute ago has something to recommend.

They are no people: they have no address and every cart of theirs was bought in the same breath, so that
nobody is written to and no offer is decided. The same seed makes the same shoppers.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mesh import Money
from services.demo.storefront.catalogue import Product, find, money, products

SEED = 20_260_301
SHOPPERS = 300
DAYS = 6
CURIOUS = 0.18
"""The share of views that have nothing to do with what a shopper came for."""
CARTED = 0.2


class Taste(msgspec.Struct, frozen=True, kw_only=True):
    """Products that go together for some shoppers, those that most come for first; `share` is relative."""

    share: float
    products: tuple[str, ...]


TASTES = (
    Taste(share=5, products=("matcha-asahi", "whisk", "chawan-kohiki", "scoop", "chawan-tenmoku", "strainer")),
    Taste(share=5, products=("sencha-yame-50", "kyusu-red", "yunomi-ash", "genmaicha", "kyusu-black", "yunomi-indigo")),
    Taste(share=3, products=("gyokuro-uji", "houhin", "yunomi-indigo", "sencha-yame-100", "tin-cherry")),
    Taste(share=3, products=("hojicha", "sobacha", "genmaicha", "mug-celadon", "tray-oak")),
    Taste(share=4, products=("assam-breakfast", "earl-grey-50", "teapot-sand", "mug-celadon", "strainer")),
    Taste(share=3, products=("oolong-dong-ding", "gaiwan-white", "darjeeling-spring", "wakoucha", "tray-oak")),
    Taste(share=4, products=("chamomile", "peppermint", "glass-pot", "verbena", "rooibos-orange", "elderberry")),
    Taste(share=2, products=("furoshiki", "tin-cherry", "tetsubin", "tray-oak", "yunomi-indigo")),
)
"""Matcha goes with the whisk and the bowl, chamomile with the glass pot."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A shopper's only visit: who, when (aware UTC), what they looked at in this order, and what they bought."""

    name: str
    began: datetime
    device: str
    viewed: tuple[Product, ...]
    bought: tuple[Product, ...]


def visits(region: str, now: datetime, *, shoppers: int = SHOPPERS, seed: int = SEED) -> list[Visit]:
    """All visits, by time, in the days before today (UTC)."""
    chance = random.Random(f"{seed}-{region}")  # noqa: S311  a reproducible shop, not a secret
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    made = [_visit(f"past-{region}-{number}", today, chance) for number in range(shoppers)]
    return sorted(made, key=lambda visit: visit.began)


def sessions(region: str, now: datetime, currency: str) -> Iterator[list[dict[str, Any]]]:
    """The visits as a storefront sends them, each whole: views, carts and the order that ends them."""
    for visit in visits(region, now):
        yield list(_events(visit, currency))


def confirmations(batch: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the shop's server reports of the orders in these events, so that they count as purchases."""
    orders = (one for one in batch if one["type"] == "order_placed")
    return [{**one, "id": f"confirmed-{one['id']}", "type": "order_confirmed"} for one in orders]


def _visit(name: str, today: datetime, chance: random.Random) -> Visit:
    hour = min(max(chance.gauss(18.5, 3.2), 7.0), 23.5)
    began = today - timedelta(days=chance.randint(1, DAYS)) + timedelta(hours=round(hour, 3))
    (taste,) = chance.choices(TASTES, [taste.share for taste in TASTES])
    wanted = [product for product_id in taste.products if (product := find(product_id)) is not None]
    viewed: list[Product] = []
    for _ in range(3 + min(int(chance.expovariate(0.3)), 7)):
        offered = products() if chance.random() < CURIOUS else wanted
        (product,) = chance.choices(offered, [1 / (place + 1.5) for place in range(len(offered))])
        if product not in viewed:
            viewed.append(product)
    liked = [product for product in viewed if product in wanted]
    bought = tuple(liked[-2:]) if liked and chance.random() < CARTED else ()
    device = chance.choice(("mobile", "mobile", "desktop"))
    return Visit(name=name, began=began, device=device, viewed=tuple(viewed), bought=bought)


def _events(visit: Visit, currency: str) -> Iterator[dict[str, Any]]:
    """Ids, times and bodies follow from the visit alone, so that sending them again changes nothing."""
    who = {"visitor_id": visit.name, "session_id": visit.name}
    at, step = visit.began, 0

    def payload(type: str, **fields: object) -> dict[str, Any]:
        nonlocal at, step
        at, step = at + timedelta(seconds=20 + 7 * (step % 5)), step + 1
        return {"id": f"{visit.name}-{step}", "type": type, "time": at.isoformat(), **who, **fields}

    for product in visit.viewed:
        price = _amount(money(product, currency))
        yield payload(
            "product_viewed",
            product_id=product.product_id,
            category=product.category,
            brand=product.brand,
            price=price,
            device=visit.device,
        )
    lines: list[dict[str, Any]] = []
    for product in visit.bought:
        price = _amount(money(product, currency))
        lines = [*lines, {"product_id": product.product_id, "quantity": 1, "price": price}]
        yield payload("cart_updated", cart_id=visit.name, lines=lines, device=visit.device)
    if lines:
        total = Money(amount=sum(line["price"]["amount"] for line in lines), currency=currency)
        yield payload("order_placed", cart_id=visit.name, order_id=visit.name, lines=lines, total=_amount(total))


def _amount(price: Money) -> dict[str, Any]:
    return {"amount": price.amount, "currency": price.currency}
