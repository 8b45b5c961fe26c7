"""Plan: what a flash sale sells, and who wants what. Everything random in it follows from the seed."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Chaos = Literal["none", "kill", "cut"]
CURRENCY = "EUR"
HOT_SHARE, HOT_UNITS_SHARE = 0.2, 0.05
"""Which share of the orders wants the hot SKU, and for which share of all orders there is a unit of it."""
DECLINED_SHARE, FLAGGED_SHARE = 0.03, 0.03
"""Which share of the orders pays with a card that is declined, and which comes from the device of one fraudster."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run: `rate` is orders a second over all regions, 0 as fast as `at_once` buyers in each region get answers.

    `patience` is how long nothing may happen before the checkouts that have not ended count as stuck.
    """

    orders: int
    skus: int
    seed: int
    chaos: Chaos
    regions: tuple[str, ...]
    nodes: int
    rate: float
    at_once: int
    patience: timedelta


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """What one buyer orders: pieces by SKU; `reference` is the shop's own number of the order.

    Mails about the order go to `email`; without one there are none. The bill goes to `billing_country`, or with the
    parcel.
    """

    reference: str
    region: str
    lines: dict[str, int]
    card: str
    buyer: str
    email: str | None = None
    billing_country: str | None = None


def sku_name(number: int) -> str:
    """The SKU of this number; 0 is the hot one."""
    return f"sku-{number}"


def price(number: int) -> int:
    """What a piece of it costs, in minor units."""
    return 1999 + 250 * number


def units(plan: Plan) -> dict[str, dict[str, int]]:
    """Region -> SKU -> units that are received there before the sale begins.

    There are few of the hot SKU, if there is another, and of the others enough for everybody.
    """
    plenty = 4 * plan.orders
    given = {sku_name(number): plenty for number in range(plan.skus)}
    given[sku_name(0)] = max(len(plan.regions), int(plan.orders * HOT_UNITS_SHARE))
    return {
        region: {sku: count // len(plan.regions) + (at < count % len(plan.regions)) for sku, count in given.items()}
        for at, region in enumerate(plan.regions)
    }


def purchases(plan: Plan) -> list[Purchase]:
    """All orders of the sale, in the order in which they are sent; regions take turns."""
    chance = random.Random(plan.seed)  # noqa: S311  a plan, not a secret
    made = []
    for number in range(plan.orders):
        others = range(1, plan.skus) or range(1)
        wanted = (
            [0] if chance.random() < HOT_SHARE else chance.sample(others, k=min(len(others), chance.choice((1, 2))))
        )
        kind = chance.random()
        made.append(
            Purchase(
                reference=f"sale-{number}",
                region=plan.regions[number % len(plan.regions)],
                lines={sku_name(one): 1 if one == 0 else chance.choice((1, 1, 2)) for one in wanted},
                card="card_declined" if kind < DECLINED_SHARE else f"card-{number}",
                buyer="fraudster" if kind > 1 - FLAGGED_SHARE else f"buyer-{number}",
            )
        )
    return made
