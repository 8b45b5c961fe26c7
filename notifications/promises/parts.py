"""Parts: what each region may give away of a budget. Pure functions."""

from mesh.events.budget import BudgetChanged
from mesh.money import Money
from notifications.journeys.texts import amounts


def part_of(whole: Money, region: str, regions: tuple[str, ...]) -> int:
    """A region's part of a budget, in minor units: equal parts, what is left over to the first by name."""
    names = sorted(regions)
    each, over = divmod(whole.amount, len(names))
    return each + (names.index(region) < over)


def left_of(
    budget: tuple[str, ...], level: BudgetChanged, currency: str, region: str, regions: tuple[str, ...]
) -> int | None:
    """What a region may still commit of a budget, in minor units; None where the journey sets none.

    A budget in other currencies alone has nothing for this one.
    """
    if not budget:
        return None
    whole = amounts(budget).get(currency)
    part = part_of(whole, region, regions) if whole else 0
    return part + of(level.borrowed, currency) - of(level.lent, currency) - of(level.committed, currency)


def of(sums: tuple[Money, ...], currency: str) -> int:
    """The amount of a currency, in minor units."""
    return next((one.amount for one in sums if one.currency == currency), 0)


def plus(sums: tuple[Money, ...], more: Money) -> tuple[Money, ...]:
    """Sums by currency with one amount more."""
    return tuple(Money.by_currency((*sums, more)).values()) if more.amount else sums
