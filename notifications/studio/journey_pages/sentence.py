"""Sentence: what a journey does, in words."""

from collections.abc import Sequence
from datetime import timedelta

from mesh.channels import CHANNELS
from notifications.conditions.tree import Condition
from notifications.conditions.words import sentence_of
from notifications.journeys import Journey
from notifications.journeys.steps import Step
from notifications.journeys.texts import quiet_hours
from notifications.journeys.triggers import has_cart
from notifications.studio.journey_pages.inputs import duration_in_words, share, title_of
from notifications.studio.journey_pages.trigger_input import who
from notifications.variants import settings_of

PERIODS = {timedelta(hours=1): "an hour", timedelta(days=1): "a day", timedelta(days=7): "a week"}

LEFT_CART = "abandoned-cart"
"""The template that comes with Cartmesh for carts that were left."""


def sentence(journey: Journey) -> str:
    """Who gets what, by which ways, how often and when not."""
    steps = f" in {len(journey.steps)} steps" if len(journey.steps) > 1 else ""
    parts = [f"{who(journey, _carts(journey))} get {discount(journey)} {_ways(journey)}{steps}", _limit(journey)]
    if journey.contact_interval:
        parts.append(f"{duration_in_words(journey.contact_interval)} apart")
    if hours := quiet_hours(journey.quiet):
        parts.append(f"not between {hours[0]:%H:%M} and {hours[1]:%H:%M}")
    whole = f"{', '.join(parts)}."
    if journey.regions:
        whole += f" Only in {_listed(sorted(journey.regions), 'and')}."
    if journey.audience is not None:
        whole += f" {only_for(journey.audience)}"
    if journey.holdout:
        whole += f" {share().words(journey.holdout)} of shoppers never get an offer."
    if journey.explore:
        whole += f" For {share().words(journey.explore)} of shoppers the offer is drawn at random."
    if not has_cart(journey.trigger) and LEFT_CART in journey.templates:
        whole += f" The template {LEFT_CART} speaks of a cart, and here is none: choose another one."
    return whole if journey.active else f"Switched off. When on: {whole[0].lower()}{whole[1:]}"


def only_for(audience: Condition | None) -> str:
    """Which carts a journey is for, as a sentence."""
    return f"Only where {sentence_of(audience)}." if audience is not None else "For every cart."


def discount(journey: Journey) -> str:
    """What shoppers get, such as `0, 5, 10 or 15 % off`, in all steps and variants together."""
    if journey.gift or journey.free_shipping:
        return f"{journey.gift} as a gift" if journey.gift else "free shipping"
    if journey.offer_amounts:
        return f"{_listed(journey.offer_amounts, 'or')} off"
    depths = sorted({depth for step in journey.listed_steps for depth in _depths(journey, step)})
    if not any(depths):
        return "a reminder without a discount"
    return f"{_listed([str(depth) for depth in depths], 'or')} % off"


def _depths(journey: Journey, step: Step) -> set[int]:
    """The discounts that may come of a step, in percent."""
    every = [settings_of(journey, step, one) for one in step.variants or (None,)]
    return {depth for one in every for depth in one.discount_depths or (one.discount_percent,)}


def _carts(journey: Journey) -> str:
    if not journey.minimum_value:
        return "Carts of any value"
    return f"Carts of at least {_listed(journey.minimum_value, 'or')}"


def _ways(journey: Journey) -> str:
    titles = [title_of(name) for name in dict.fromkeys(journey.channels)]
    ordered = [title for title in (channel for channel in map(title_of, CHANNELS)) if title in titles]
    return _listed([title if title.startswith("on ") else f"by {title}" for title in ordered or titles], "and")


def _limit(journey: Journey) -> str:
    if not journey.cap:
        return "but never, as no offer to one shopper is allowed"
    offers = "1 offer" if journey.cap == 1 else f"{journey.cap} offers"
    window = PERIODS.get(journey.cap_window) or f"in {duration_in_words(journey.cap_window)}"
    return f"at most {offers} {window}"


def _listed(names: Sequence[str], word: str) -> str:
    """Such as `a, b or c`."""
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
