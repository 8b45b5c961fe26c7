"""Words: outcomes, reasons and checks of decisions as marketers read them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from mesh import Money
from mesh.channels import CHANNELS
from mesh.events.offer import CART_ABANDONED, OfferDecided
from notifications.journeys.triggers import has_cart

OUTCOMES = {"approved": "Approved", "held": "Held", "dropped": "Dropped"}
OPENED = {
    "person": "Opened by a person",
    "proxy": "Opened by a person, through their mail service",
    "machine": "Loaded by a machine",
    "unknown": "Opened, by whom is not known",
}
OPENS = (
    "Apple Mail and programs that check mails load the pictures of every mail, and who reads without pictures is not "
    "seen. So opens say neither who read a mail nor which one is better: orders do."
)
REASONS = {
    "bought": "The shopper has bought",
    "cart moved on": "The cart was changed or left again",
    "too late": "The offer would have come too late",
    "nothing of value in the cart": "Nothing of value in the cart",
    "cart below the minimum value": "The cart is below the journey's minimum value",
    "not in the audience": "The journey is not for this cart",
    "no e-mail address": "No e-mail address is known",
    "no phone number": "No phone number of the shop's own server is known",
    "no browser that takes notifications": "No browser of theirs takes notifications",
    "channel not set up": "The channel is not set up",
    "address suppressed": "Nothing is sent to this address",
    "address not confirmed": "The e-mail address is not confirmed",
    "no consent": "The shopper has not allowed it",
    "unsubscribed": "The shopper unsubscribed",
    "holdout": "Held out to measure what offers change",
    "no offer at random": "No offer, as chance decided in the experiment",
    "not worth it": "No discount would have paid",
    "frequency cap": "The shopper has had as many offers as the cap allows",
    "time between contacts": "Too soon after the last offer",
    "journey of higher priority": "A journey of higher priority comes first",
    "discount too high": "The discount is above the journey's bound",
    "quiet hours": "Quiet hours where the shopper lives",
    "region out of date": "Another region could not be heard, and the shopper was active there",
    "journey stopped": "The journey was stopped",
    "budget": "The budget leaves too little for its discount",
    "no code left": "No code is left of the journey's list: import more",
    "step not due yet": "The step waits for its time",
    "step condition": "What the step asks of earlier ones is not so",
    "step removed": "The step is not in the journey any more",
    "re-entry": "The shopper was in this journey too short a time ago",
}
"""Why an offer was held or dropped, by the reason in its decision."""
CHECKS = {
    "journey": "Journey is active",
    "cart": "Cart is as it was left",
    "step": "Step is in the journey",
    "variant": "Variant",
    "delay": "Step is due",
    "condition": "Step's condition",
    "still subscribed": "Not unsubscribed since the run began",
    "re-entry": "Long enough since the last run",
    "in time": "In time",
    "value": "Value of the cart",
    "audience": "Cart is one the journey is for",
    "set up": "Channel is set up",
    "identified": "Address is known",
    "address": "Address may be written to",
    "confirmed": "Address is confirmed",
    "consent": "Consent",
    "subscribed": "Not unsubscribed",
    "holdout": "Not held out",
    "experiment": "Experiment",
    "worth it": "Worth a discount",
    "frequency cap": "Frequency cap",
    "time between contacts": "Time between contacts",
    "discount": "Discount within bounds",
    "discount habit": "Not too many discounts to one shopper",
    "budget": "Within the budget",
    "code list": "A code of the list",
    "quiet hours": "Quiet hours",
    "freshness": "Other regions are up to date",
}
"""What a check asks, by its name."""


OF_SHOPPER = {
    "cart moved on": "The shopper came back or filled a cart",
    "cart": "Neither bought nor came back since",
    "value": "Value",
    "audience": "Audience of the journey",
}
"""Reasons and checks where a run is about no cart."""


def outcome(name: str) -> str:
    """An outcome as a word."""
    return OUTCOMES.get(name, _sentence(name))


def reason(text: str, trigger: str = CART_ABANDONED) -> str:
    """A reason as a sentence without its full stop; one that is not known here as it was written."""
    if not has_cart(trigger) and text in OF_SHOPPER:
        return OF_SHOPPER[text]
    return REASONS.get(text, _sentence(text))


def check(name: str, trigger: str = CART_ABANDONED) -> str:
    """What a check asks."""
    if not has_cart(trigger) and name in OF_SHOPPER:
        return OF_SHOPPER[name]
    return CHECKS.get(name, _sentence(name))


def discount(decided: OfferDecided) -> str:
    """What an offer takes off; a reminder takes nothing off."""
    if decided.discount and decided.discount.kind == "amount":
        return money(decided.discount.amounts[0])
    if decided.discount and decided.discount.kind != "percentage":
        return f"gift {decided.discount.product_id}" if decided.discount.product_id else "free shipping"
    return f"{decided.discount_percent} %" if decided.discount_percent else "reminder"


def channel(name: str) -> str:
    """A channel as people call it."""
    known = CHANNELS.get(name)
    return known.title if known else name


def channels(names: tuple[str, ...]) -> str:
    """Channels as people call them."""
    return ", ".join(map(channel, names))


def step(name: str, variant: str) -> str:
    """Which step and variant, as it stands behind the name of a journey; nothing for a journey of one step."""
    named = f", step {name}" if name else ""
    return f"{named}, variant {variant}" if variant else named


def money(amount: Money | None) -> str:
    """An amount, such as 25.98 EUR; a dash for none."""
    return f"{amount.decimal()} {amount.currency}" if amount else "-"


def moment(at: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def moneys(amounts: Iterable[Money]) -> str:
    """Amounts of several currencies; a dash for none."""
    return ", ".join(map(money, amounts)) or "-"
