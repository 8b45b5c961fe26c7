"""Found entry: what a trigger found, as a marketer reads it."""

from mesh.events.cart import CartLine
from mesh.events.offer import OfferTriggered
from notifications.journeys.triggers import BACK_IN_STOCK, BROWSE_ABANDONED, NO_ORDER_SINCE, PRICE_DROPPED
from notifications.studio.decision_pages import words

Said = tuple[str, str, tuple[tuple[str, str], ...]]
"""A title, a sentence, and facts."""


def found(event: OfferTriggered) -> Said:
    """What was found, of a kind that is not known here by its name."""
    named = [_name(line) for line in event.lines if line.product_id in event.products]
    facts = (("Value", words.money(event.total)), ("Found for journey", event.journey))
    if event.trigger == BROWSE_ABANDONED:
        count = len(event.lines)
        title = f"Looked at {count} product{'s' if count != 1 else ''} and left"
        return title, ", ".join(named), (*facts, ("Last look", words.moment(event.left_at)))
    if event.trigger == PRICE_DROPPED:
        return "A price fell", "; ".join(_fall(event)), (*facts, ("Cart left", words.moment(event.left_at)))
    if event.trigger == BACK_IN_STOCK:
        sentence = f"{', '.join(named)} can be bought again"
        return "Back in stock", sentence, (*facts, ("Cart left", words.moment(event.left_at)))
    if event.trigger == NO_ORDER_SINCE:
        sentence = f"No order followed order {event.order_id}"
        return "No other order", sentence, (*facts, ("Last order", words.moment(event.left_at)))
    return event.trigger.capitalize(), ", ".join(named), facts


def _fall(event: OfferTriggered) -> list[str]:
    prices = {line.product_id: line for line in event.lines}
    return [
        f"{_name(prices[product])} fell from {words.money(before)} to {words.money(prices[product].price)}"
        for product, before in event.prices_before.items()
        if product in prices
    ]


def _name(line: CartLine) -> str:
    return line.name or line.product_id
