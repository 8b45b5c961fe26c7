"""Words: what a result says, for people who do not know statistics."""

from mesh import Money
from mesh.money import minor_digits
from notifications.experiments.effect import LEAST, LEAST_EVENTS
from notifications.studio.decision_pages.words import money
from notifications.studio.experiment_pages.result import Measured, Result

PER = "per 100 shoppers"


def verdict(result: Result) -> tuple[str, str]:
    """What is known, as a kind (`good`, `bad`, `open`, `suspect`, `young`) and a sentence."""
    if result.suspect:
        return "suspect", (
            "These numbers cannot be trusted: far more or fewer shoppers are in one of the two groups than chance puts "
            "there. Something else decides who is counted."
        )
    if not (result.none.participants or result.offer.participants):
        if result.young:
            return "young", "Nobody's time to buy is over yet."
        return "young", "Everybody gets the offer, so there is nothing to compare it with."
    if not result.ready or result.orders is None:
        return "young", (
            f"Too early to say: both groups need {LEAST} shoppers, of whom {LEAST_EVENTS} bought, before anything can "
            "be said."
        )
    return _known(result.orders)


def _known(orders: Measured) -> tuple[str, str]:
    if orders.low > 0:
        return "good", f"The offers work: they bring at least {orders.low:.1f} more orders {PER}."
    if orders.high < 0:
        return "bad", f"The offers do harm: they cost at least {-orders.high:.1f} orders {PER}."
    if orders.days is None:
        return "open", (
            "Not yet known, and it would take more than a year at this rate: whatever the difference is, it is small."
        )
    return "open", f"Not yet known: about {orders.days} more {'day' if orders.days == 1 else 'days'} at this rate."


def amount(measured: Measured, value: float) -> str:
    """A value of an effect with its sign and unit."""
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    if measured.unit == "orders":
        return f"{sign}{abs(value):.1f} orders"
    minor = round(abs(value) * 10 ** minor_digits(measured.unit))
    return f"{sign}{money(Money(amount=minor, currency=measured.unit))}"


def interval(measured: Measured) -> str:
    """The interval."""
    return f"{amount(measured, measured.low)} to {amount(measured, measured.high)}"
