"""Money: sums that keep currencies apart."""

from collections import Counter
from collections.abc import Iterable, Mapping

from mesh.events.cart import CartLine
from mesh.money import Money


def cost(lines: Iterable[CartLine]) -> tuple[Money, ...]:
    """What lines cost together, per currency."""
    sums: Counter[str] = Counter()
    for line in lines:
        sums[line.price.currency] += line.price.amount * line.quantity
    return listed(sums)


def listed(sums: Mapping[str, int]) -> tuple[Money, ...]:
    """Sums in minor units by currency as amounts, without those that are nothing."""
    return tuple(Money(amount=amount, currency=currency) for currency, amount in sorted(sums.items()) if amount)
