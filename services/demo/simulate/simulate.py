"""Simulate: a plausible shop's log from a seed, in which what shoppers do predicts whether they will buy.

A visit is browsing, perhaps a cart, and then one of three ends: buying, leaving for good, or leaving
and returning hours later. The chance of each follows from what a model can see: views of the same
product and category, earlier visits and purchases, the cart's value, the device and the local hour.
"""

import heapq
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from mesh.money import minor_digits
from services.demo.replay.shop_log import Kind, Row, minor_units
from services.demo.simulate.shop import Product, Shopper, catalogue, shoppers

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
"""When simulated logs begin, unless another day is given: a Monday."""


@dataclass
class Past:
    """What a shopper did before this visit."""

    visits: int = 0
    purchases: int = 0
    left: list[Product] = field(default_factory=list)
    """The cart left behind at the last visit."""
    seen: Counter[int] = field(default_factory=Counter)


def simulate(
    *, shopper_count: int, days: float, seed: int = 1, begin: datetime = BEGIN, currency: str = "USD"
) -> list[Row]:
    """The log of `shopper_count` shoppers over `days`, by time. The same arguments give the same log."""
    chance = random.Random(seed)  # noqa: S311  a reproducible shop, not a secret
    assortment = catalogue(chance)
    end = begin + timedelta(days=days)
    happened: list[tuple[datetime, int, dict[str, object]]] = []
    for shopper in shoppers(chance, shopper_count):
        own = random.Random(chance.getrandbits(64))  # noqa: S311  as above
        happened += ((at, shopper.user_id, action) for at, action in _life(shopper, assortment, begin, end, own))
    happened.sort(key=lambda one: one[:2])
    return [
        Row(
            number=number,
            time=at,
            kind=action["kind"],  # type: ignore[arg-type]
            session_id=str(action["session"]),
            **_of_product(action["product"], currency),  # type: ignore[arg-type]
            **_of_shopper(action["shopper"]),  # type: ignore[arg-type]
        )
        for number, (at, _, action) in enumerate(happened)
    ]


def write(log: list[Row], path: Path, *, currency: str = "USD") -> None:
    """A log as Parquet (or CSV by its ending), in the columns that `read_log` reads."""
    import polars as pl  # noqa: PLC0415  heavy, and only needed to write a file

    scale = 10.0 ** -minor_digits(currency)
    frame = pl.DataFrame(
        {
            "event_time": [row.time for row in log],
            "event_type": [row.kind for row in log],
            "product_id": [int(row.product_id) for row in log],
            "category_code": [row.category for row in log],
            "brand": [row.brand for row in log],
            "price": [None if row.price is None else round(row.price * scale, 3) for row in log],
            "user_id": [int(row.user_id) for row in log],
            "user_session": [row.session_id for row in log],
            "name": [row.name for row in log],
            "time_zone": [row.time_zone for row in log],
            "device": [row.device for row in log],
            "locale": [row.locale for row in log],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )
    if path.suffix == ".csv":
        frame.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S UTC")
    else:
        frame.write_parquet(path, compression="zstd")


def buying_odds(shopper: Shopper, past: Past, cart: list[Product], views: list[Product], local_hour: int) -> float:
    """Log-odds that a shopper with this cart buys now. Everything but `intent` and `thrift` can be seen in the log."""
    looked = Counter(product.product_id for product in views)
    kinds = Counter(product.category for product in views)
    wanted = cart[-1]
    value = sum(product.price for product in cart)
    return (
        shopper.intent
        - 1.2
        + 1.3 * min(looked[wanted.product_id] - 1, 3)
        + 0.3 * math.log1p(kinds[wanted.category])
        + 0.7 * min(past.purchases, 1)
        + 0.4 * min(past.seen[wanted.product_id], 1)
        + (1.2 if any(product in past.left for product in cart) else 0.0)
        - shopper.thrift * math.log1p(value / 60)
        - {"mobile": 1.4, "tablet": 0.6}.get(shopper.device, 0.0)
        + (0.7 if 18 <= local_hour <= 22 else 0.0)
    )


def _life(shopper: Shopper, assortment: list[Product], begin: datetime, end: datetime, chance: random.Random):  # noqa: ANN202  a generator of pairs
    past, zone = Past(), ZoneInfo(shopper.time_zone)
    visits = [_next_visit(shopper, begin - timedelta(days=1) * chance.random(), zone, chance)]
    while visits:
        at = heapq.heappop(visits)
        if at >= end:
            return
        returned = None
        for when, action in _visit(shopper, past, assortment, at, chance):
            if action is None:
                returned = when
            elif begin <= when < end:
                yield when, action
        if returned is not None:
            heapq.heappush(visits, returned)
        if not visits or returned is None:
            heapq.heappush(visits, _next_visit(shopper, at, zone, chance))


def _next_visit(shopper: Shopper, after: datetime, zone: ZoneInfo, chance: random.Random) -> datetime:
    at = after + timedelta(days=chance.expovariate(shopper.visits_a_day))
    if 1 <= at.astimezone(zone).hour < 7:  # most people sleep then
        at += timedelta(hours=chance.uniform(6, 10))
    return at


def _visit(shopper: Shopper, past: Past, assortment: list[Product], at: datetime, chance: random.Random):  # noqa: ANN202  a generator of pairs
    """One visit's rows as (time, what); at the end (time, None) when the shopper will be back for the cart."""
    session = UUID(int=chance.getrandbits(128), version=4)
    resumed, cart, views = list(past.left), list(past.left), []

    def action(kind: Kind, product: Product) -> tuple[datetime, dict[str, object]]:
        return at, {"kind": kind, "product": product, "session": session, "shopper": shopper}

    for product in resumed:
        views.append(product)
        yield action("view", product)
        at += timedelta(seconds=chance.uniform(10, 60))
        yield action("cart", product)
    favourite: Product | None = resumed[-1] if resumed else None
    for _ in range(min(1 + int(chance.expovariate(0.22 + 0.1 * (shopper.device == "mobile"))), 30)):
        product = favourite if favourite and chance.random() < 0.28 else _browse(shopper, assortment, views, chance)
        views.append(product)
        yield action("view", product)
        at += timedelta(seconds=5 + chance.lognormvariate(3.2, 0.9))
        again = sum(one.product_id == product.product_id for one in views) - 1
        eager = -3.1 + 0.45 * shopper.intent + 0.9 * again + 0.7 * (product.category in shopper.loves)
        if again:
            favourite = product
        if product not in cart and chance.random() < _probability(eager):
            cart.append(product)
            yield action("cart", product)
            at += timedelta(seconds=chance.uniform(5, 40))
    past.visits += 1
    odds = (
        buying_odds(shopper, past, cart, views, at.astimezone(ZoneInfo(shopper.time_zone)).hour) if cart else -math.inf
    )
    past.seen.update({product.product_id for product in views})
    past.left = []
    if chance.random() < _probability(odds):
        at += timedelta(seconds=chance.uniform(30, 240))
        past.purchases += 1
        for product in cart:
            yield action("purchase", product)
    elif cart and chance.random() < _probability(odds + 0.8):
        past.left = cart
        yield at + timedelta(hours=chance.lognormvariate(1.2, 0.8)), None


def _browse(shopper: Shopper, assortment: list[Product], views: list[Product], chance: random.Random) -> Product:
    liked = views[-1].category if views and chance.random() < 0.6 else chance.choice(shopper.loves)
    choice = [product for product in assortment if product.category == liked] if chance.random() < 0.85 else assortment
    return chance.choices(choice, [product.appeal for product in choice])[0]


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -50 else 0.0


def _of_product(product: Product, currency: str) -> dict[str, object]:
    return {
        "product_id": str(product.product_id),
        "price": minor_units(product.price, currency),
        "category": product.category,
        "brand": product.brand,
        "name": product.name,
    }


def _of_shopper(shopper: Shopper) -> dict[str, object]:
    return {
        "user_id": str(shopper.user_id),
        "time_zone": shopper.time_zone,
        "device": shopper.device,
        "locale": shopper.locale,
    }
