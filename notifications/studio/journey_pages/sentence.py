"""Sentence: what a journey does, in words."""

from datetime import timedelta

from notifications.conditions.tree import Condition
from notifications.conditions.words import sentence_of
from notifications.journeys import Journey
from notifications.journeys.texts import quiet_hours
from notifications.journeys.triggers import has_cart
from notifications.studio.journey_pages.inputs import duration_in_words, share
from notifications.studio.journey_pages.step_words import listed, steps_in_words
from notifications.studio.journey_pages.trigger_input import who

PERIODS = {timedelta(hours=1): "an hour", timedelta(days=1): "a day", timedelta(days=7): "a week"}

LEFT_CART = "abandoned-cart"
"""The template that comes with Cartmesh for carts that were left."""


def sentence(journey: Journey) -> str:
    """Who gets what, step by step, how often and when not."""
    whole = " ".join([f"For {who(journey, _carts(journey))}.", *steps_in_words(journey), _limits(journey)])
    if journey.regions:
        whole += f" Only in {listed(sorted(journey.regions), 'and')}."
    if journey.audience is not None:
        whole += f" {only_for(journey.audience)}"
    if journey.holdout:
        whole += f" {share().words(journey.holdout)} of shoppers are held out: they never get an offer."
    if journey.explore:
        whole += f" For {share().words(journey.explore)} of shoppers the offer is drawn at random."
    if not has_cart(journey.trigger) and LEFT_CART in journey.templates:
        whole += f" The template {LEFT_CART} speaks of a cart, and here is none: choose another one."
    return whole if journey.active else f"Switched off. When on: {whole[0].lower()}{whole[1:]}"


def only_for(audience: Condition | None) -> str:
    """Which carts a journey is for, as a sentence."""
    return f"Only where {sentence_of(audience)}." if audience is not None else "For every cart."


def _carts(journey: Journey) -> str:
    if not journey.minimum_value:
        return "carts of any value"
    return f"carts of at least {listed(journey.minimum_value, 'or')}"


def _limits(journey: Journey) -> str:
    if not journey.cap:
        return "But nothing is sent, as no offer to one shopper is allowed."
    offers = "1 offer" if journey.cap == 1 else f"{journey.cap} offers"
    window = PERIODS.get(journey.cap_window) or f"in {duration_in_words(journey.cap_window)}"
    parts = [f"At most {offers} {window} to one shopper"]
    if journey.contact_interval:
        parts.append(f"{duration_in_words(journey.contact_interval)} apart")
    if hours := quiet_hours(journey.quiet):
        parts.append(f"not between {hours[0]:%H:%M} and {hours[1]:%H:%M}")
    return f"{', '.join(parts)}."
