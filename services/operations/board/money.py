"""Money: sums that keep currencies apart."""

from collections.abc import Iterable, Mapping

from mesh.events.cart import CartLine
from mesh.money import Money


def cost(lines: Iterable[CartLine]) -> tuple[Money, ...]:
    """What lines cost together, per currency."""
    totals = Money.by_currency(line.price * line.quantity for line in lines)
    return tuple(total for _, total in sorted(totals.items()) if total.amount)


def listed(sums: Mapping[str, int]) -> tuple[Money, ...]:
    """Sums in minor units by currency as amounts, without those that are nothing."""
    return tuple(Money(amount=amount, currency=currency) for currency, amount in sorted(sums.items()) if amount)
