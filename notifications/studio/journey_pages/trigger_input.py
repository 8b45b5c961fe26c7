"""Trigger input: what starts a journey, chosen among the kinds there are, and the settings that only some of them have.

A setting that the chosen trigger does not have is not shown, and counts as not set whatever the form has in it.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mesh.errors import DeclarationError
from mesh.left_carts import LeftCartSettings
from mesh.settings import read
from notifications.journeys import Journey
from notifications.journeys.triggers import BACK_IN_STOCK, BROWSE_ABANDONED, CART_ABANDONED, PRICE_DROPPED, TRIGGERS
from notifications.studio.journey_pages.inputs import Input, Texts, duration, duration_in_words, percent

SETTINGS = tuple(dict.fromkeys(name for one in TRIGGERS.values() for name in one.settings))
"""The fields of a journey that only some triggers have."""
OWNERS = {
    name: " ".join(one.partition(" ")[0] for one in TRIGGERS if name in TRIGGERS[one].settings) for name in SETTINGS
}
"""Which triggers have a setting, as the style sheet names them: by their first words."""


def trigger() -> Input:
    """One of the kinds of trigger."""

    def read(texts: Texts) -> str:
        chosen = next(iter(texts[""]), "") or CART_ABANDONED
        if chosen not in TRIGGERS:
            raise DeclarationError("choose one of the triggers in the list")
        return chosen

    return Input(control="trigger", show=lambda value: {"": [value]}, read=read, words=short)


def usual_duration() -> Input:
    """A length of time; 0 stands for what is usual."""
    return _usual(duration())


def usual_percent() -> Input:
    """A percentage; 0 stands for what is usual."""
    return _usual(percent())


def _usual(inner: Input) -> Input:
    words: Callable[[Any], str] = inner.words
    return replace(inner, words=lambda value: words(value) if value else "as usual")


def settled(typed: dict[str, Texts], unset: Callable[[str], Texts]) -> dict[str, Texts]:
    """What was typed, without the settings that the chosen trigger does not have; `unset` is how one is shown then."""
    chosen = TRIGGERS.get(next(iter(typed["trigger"][""]), ""), TRIGGERS[CART_ABANDONED])
    return {**typed, **{name: unset(name) for name in SETTINGS if name not in chosen.settings}}


def short(name: str) -> str:
    """A trigger in a few words, such as `Price dropped`."""
    return TRIGGERS[name].words.partition(":")[0] if name in TRIGGERS else name


def left_after() -> timedelta:
    """How long after its last change a cart counts as left."""
    return read(LeftCartSettings).abandon_after


def begins(journey: Journey) -> tuple[str, str]:
    """What starts a journey, as a title and what there is to say of it."""
    return TRIGGERS[journey.trigger].title, _detail(journey)


def _detail(journey: Journey) -> str:
    within = f"the cart was left in the last {duration_in_words(journey.triggered_within)}"
    if journey.trigger == PRICE_DROPPED:
        return f"by {plain_percent(journey)} at least, and {within}"
    if journey.trigger == BACK_IN_STOCK:
        return within
    after = duration_in_words(journey.triggered_after)
    if journey.trigger == BROWSE_ABANDONED:
        return f"{after} after the last look"
    if journey.trigger == CART_ABANDONED:
        return f"{duration_in_words(left_after())} without a change"
    return f"{after} after the last order"


def who(journey: Journey, carts: str) -> str:
    """Whom a journey is for, such as `carts of any value`; `carts` says which carts."""
    after, within = duration_in_words(journey.triggered_after), duration_in_words(journey.triggered_within)
    if journey.trigger == CART_ABANDONED:
        return carts
    if journey.trigger == BROWSE_ABANDONED:
        return f"shoppers who looked at products, and for {after} neither looked again nor filled a cart nor bought"
    if journey.trigger == PRICE_DROPPED:
        return f"{carts}, left in the last {within}, with a product that costs {plain_percent(journey)} less by now"
    if journey.trigger == BACK_IN_STOCK:
        return f"{carts}, left in the last {within}, with a product that was gone and can be bought again"
    return f"shoppers whose last order was {after} ago"


def plain_percent(journey: Journey) -> str:
    """The least fall of a price, such as `5 %`."""
    return percent().words(journey.least_drop)
