"""Rate: how many carts a second one core decides on for many journeys, on made-up journeys and carts."""

import random
import time
from collections.abc import Callable
from typing import Any

from mesh.money import Money
from notifications.conditions.closures import Facts, compile_comparison
from notifications.conditions.fields import FIELDS
from notifications.conditions.matcher import Matcher
from notifications.conditions.operators import KNOWN, OPERATORS, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition

CURRENCIES = ("EUR", "USD", "GBP")
CARTS = 2_000
SHAPES = 200
"""Carts that the journeys are made for: each meets all conditions of some."""
GROUP = 5
"""Conditions of one inner group."""
NAMES = tuple(f"name-{at}" for at in range(400))
"""Products, categories and brands that conditions and carts name."""


def measured(*, journeys: int, conditions: int, seconds: float, seed: int) -> dict[str, float]:
    """Carts a second, milliseconds for the making of all audiences, distinct conditions, and journeys met per cart."""
    chance = random.Random(seed)  # noqa: S311  nothing secret is drawn
    carts = [cart(chance) for _ in range(CARTS)]
    trees = {f"journey-{at}": audience(conditions, carts[at % SHAPES], chance) for at in range(journeys)}
    began = time.process_time()
    matcher = Matcher(trees)
    made = time.process_time() - began
    decided = met = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        met += len(matcher.matching(carts[decided % CARTS]))
        decided += 1
    return {
        "carts_per_second": round(decided / spent),
        "made_in_ms": round(made * 1000),
        "distinct_conditions": matcher.comparisons,
        "journeys_met_per_cart": round(met / decided, 2),
    }


def audience(conditions: int, meant: Facts, chance: random.Random) -> Condition:
    """A random audience that a cart belongs to: it meets half of the conditions, and one in each other group."""
    plain = [_comparison(meant, chance) for _ in range(conditions - conditions // 2)]
    groups = []
    for at in range(0, conditions // 2, GROUP):
        others = [_comparison(cart(chance), chance) for _ in range(min(GROUP, conditions // 2 - at) - 1)]
        groups.append(AnyOf(of=(*others, _comparison(meant, chance))))
    return AllOf(of=(*plain, *groups))


def cart(chance: random.Random) -> Facts:
    """The facts of a random cart; every tenth value is not known."""
    return {name: None if chance.random() < 0.1 else _VALUES[one.type](chance) for name, one in FIELDS.items()}


def _comparison(meant: Facts, chance: random.Random) -> Comparison:
    """A random comparison that is true of a cart."""
    while True:
        field = FIELDS[chance.choice(_names)]
        operator = chance.choice([one for one in OPERATORS[field.type].values() if one.name not in KNOWN])
        value: tuple[str, ...] | float | None = None
        if field.type is Type.MONEY:
            value = tuple(f"{chance.randrange(10, 500)} {currency}" for currency in CURRENCIES)
        elif field.type is Type.NUMBER:
            value = float(chance.randrange(100))
        elif operator.takes_value:
            value = tuple(sorted(chance.sample(NAMES, 20)))
        found = Comparison(field=field.name, operator=operator.name, value=value)
        if compile_comparison(found)(meant[field.name]):
            return found


_names = tuple(FIELDS)
_VALUES: dict[Type, Callable[[random.Random], Any]] = {
    Type.MONEY: lambda chance: Money(amount=chance.randrange(60_000), currency=chance.choice(CURRENCIES)),
    Type.NUMBER: lambda chance: chance.random() * 100,
    Type.TEXT: lambda chance: chance.choice(NAMES),
    Type.TEXTS: lambda chance: tuple(sorted(chance.sample(NAMES, 3))),
    Type.YES_NO: lambda chance: chance.random() < 0.5,
}
