"""Terms: what a journey gives away to a cart, and what that costs the shop at most. Pure functions."""

from datetime import datetime

from mesh.discounts import taken_off
from mesh.events.code import Discount
from mesh.events.contact import Contact
from mesh.money import Money
from notifications.decision_input import DecisionInput
from notifications.journeys import Journey
from notifications.journeys.texts import amounts


def discount_of(journey: Journey, percent: int, inputs: DecisionInput) -> Discount | None:
    """The discount of an offer for a cart, where `percent` was decided; None for a mere reminder.

    With a budget the code takes off what it would of the cart that was left, however large the order becomes.
    """
    total = inputs.total
    if journey.gift or journey.free_shipping:
        if inputs.habit or (inputs.propensity is not None and inputs.propensity >= journey.no_discount_from):
            return None
        return Discount(kind="gift", product_id=journey.gift) if journey.gift else Discount(kind="free_shipping")
    if not percent:
        return None
    fixed = amounts(journey.offer_amounts).get(total.currency)
    if journey.offer_amounts:
        return Discount(kind="amount", amounts=(fixed,)) if fixed else None
    if not journey.has_budget:
        return Discount(percent=percent)
    return Discount(percent=percent, at_most=taken_off(Discount(percent=percent), total))


def cost_of(discount: Discount, journey: Journey, total: Money) -> Money:
    """What a discount can cost the shop at most; a gift or the shipping what the journey says, or nothing."""
    if discount.kind in ("gift", "free_shipping"):
        return amounts(journey.offer_cost).get(total.currency) or Money(amount=0, currency=total.currency)
    return discount.at_most or taken_off(discount, total)


def fixed_percent(journey: Journey, total: Money) -> int | None:
    """The journey's fixed amount as whole percent of a cart, rounded up: so it is judged against the bounds.

    None where the journey gives percentages; 0 where it has no amount in the cart's currency, and for what takes
    nothing off it.
    """
    if journey.gift or journey.free_shipping:
        return 0
    if not journey.offer_amounts:
        return None
    fixed = amounts(journey.offer_amounts).get(total.currency)
    return -(-fixed.amount * 100 // total.amount) if fixed and total.amount > 0 else 0


def habit_of(inputs: DecisionInput, journey: Journey, now: datetime) -> str:
    """Why a shopper gets no further discount, in words; empty where they may get one."""
    given = [one for one in inputs.contacts if one.discount]
    if journey.discount_habit:
        lately = sum(one.at > now - journey.discount_habit_window for one in given)
        if lately >= journey.discount_habit:
            days = journey.discount_habit_window.total_seconds() / 86400
            return f"a reminder only: {lately} discounts in {days:g} days, and {journey.discount_habit} is the most"
    limit = amounts(journey.budget_customer).get(inputs.total.currency)
    if journey.budget_customer:
        had = _sum(given, journey.name, inputs.total.currency)
        most = limit.amount if limit else 0
        if had >= most:
            return (
                f"a reminder only: this shopper was offered all of what the journey has for one, {_words(had, inputs)}"
            )
    return ""


def customer_left(inputs: DecisionInput, journey: Journey) -> int | None:
    """What the journey may still offer this shopper, in minor units of the cart's currency; None without a bound."""
    if not journey.budget_customer:
        return None
    limit = amounts(journey.budget_customer).get(inputs.total.currency)
    had = _sum([one for one in inputs.contacts if one.discount], journey.name, inputs.total.currency)
    return max(0, (limit.amount if limit else 0) - had)


def _sum(contacts: list[Contact], journey: str, currency: str) -> int:
    found = (one.discount for one in contacts if one.journey == journey)
    return sum(one.amount for one in found if one and one.currency == currency)


def _words(amount: int, inputs: DecisionInput) -> str:
    money = Money(amount=amount, currency=inputs.total.currency)
    return f"{money.decimal()} {money.currency}"
