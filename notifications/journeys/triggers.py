"""Triggers: what starts a journey's runs, and which of its settings each kind needs."""

from datetime import timedelta

import msgspec

from mesh.errors import DeclarationError
from mesh.events.offer import CART_ABANDONED

BROWSE_ABANDONED = "browse abandoned"
PRICE_DROPPED = "price dropped"
BACK_IN_STOCK = "back in stock"
NO_ORDER_SINCE = "no order since"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of trigger by its `name` in a journey.

    `title` begins the picture of a journey, `who` its sentence, `words` is what people choose. `has_cart`: it is about
    a left cart, whose changes end the run. `settings` are the fields of a journey that it needs.
    """

    name: str
    title: str
    who: str
    words: str
    has_cart: bool = True
    settings: tuple[str, ...] = ()


TRIGGERS = {
    one.name: one
    for one in (
        Trigger(name=CART_ABANDONED, title="A cart was left", who="Carts", words="Cart abandoned"),
        Trigger(
            name=BROWSE_ABANDONED,
            title="Products were looked at, and nothing was put into a cart",
            who="Shoppers who looked at products",
            words="Browse abandoned: products looked at, none put into a cart",
            has_cart=False,
            settings=("trigger_after",),
        ),
        Trigger(
            name=PRICE_DROPPED,
            title="A product in a left cart costs less",
            who="Carts",
            words="Price dropped: a product in a left cart costs less",
            settings=("trigger_within", "price_drop_percent"),
        ),
        Trigger(
            name=BACK_IN_STOCK,
            title="A product in a left cart can be bought again",
            who="Carts",
            words="Back in stock: a product in a left cart can be bought again",
            settings=("trigger_within",),
        ),
        Trigger(
            name=NO_ORDER_SINCE,
            title="No other order followed an order",
            who="Shoppers",
            words="Win-back: no order since the last one",
            has_cart=False,
            settings=("trigger_after",),
        ),
    )
}
"""Every kind by its name."""
USUALLY_AFTER = {BROWSE_ABANDONED: timedelta(hours=1), NO_ORDER_SINCE: timedelta(days=60)}
USUALLY_WITHIN, LONGEST_WITHIN = timedelta(days=30), timedelta(days=400)
LONGEST_BROWSE, LONGEST_AFTER = timedelta(days=25), timedelta(days=390)
"""Views are kept for 30 days and orders for 400: what is longer could never be found."""
USUAL_DROP = 5.0
_DEFAULTS = {"trigger_after": timedelta(0), "trigger_within": timedelta(0), "price_drop_percent": 0.0}


def has_cart(trigger: str) -> bool:
    """Whether a trigger is about a left cart; so is one that is not known here."""
    return trigger not in TRIGGERS or TRIGGERS[trigger].has_cart


def check_trigger(trigger: str, after: timedelta, within: timedelta, percent: float) -> None:
    """Refuse a trigger that there is not, and settings that it does not have. DeclarationError."""
    known = TRIGGERS.get(trigger)
    if known is None:
        raise DeclarationError(f"trigger: there is no {trigger!r}; there is {', '.join(TRIGGERS)}")
    given = {"trigger_after": after, "trigger_within": within, "price_drop_percent": percent}
    for name, value in given.items():
        if value != _DEFAULTS[name] and name not in known.settings:
            owners = " and ".join(one.name for one in TRIGGERS.values() if name in one.settings)
            raise DeclarationError(f"{name}: only a journey with the trigger {owners} has it: set it to 0")
    longest = LONGEST_BROWSE if trigger == BROWSE_ABANDONED else LONGEST_AFTER
    if after > longest:
        raise DeclarationError(f"trigger_after: {longest.days} days at most, as nothing older is kept for long enough")
    if within > LONGEST_WITHIN:
        raise DeclarationError(f"trigger_within: {LONGEST_WITHIN.days} days at most, as carts are kept no longer")
    if not 0 <= percent < 100:
        raise DeclarationError("price_drop_percent: a number from 0 to below 100")
