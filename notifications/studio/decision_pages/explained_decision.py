"""Explained decision: what a decision comes to as a sentence, and its checks in plain words."""

from datetime import datetime

import msgspec

from mesh.events.offer import CART_ABANDONED, Check, OfferDecided
from notifications.studio.decision_pages import words


class CheckShown(msgspec.Struct, frozen=True, kw_only=True):
    """A check: what it asks, the value it saw, and whether it passed.

    `effect` says what a failed one did; empty for one that passed.
    """

    title: str
    channel: str
    value: str
    passed: bool
    effect: str = ""


def reason_of(outcome: str, reason: str, held_until: datetime | None, trigger: str = CART_ABANDONED) -> str:
    """Why a decision came out so, in a few words for a list."""
    if outcome == "approved":
        return "No check stopped it"
    said = words.reason(reason, trigger)
    return f"{said}; held until {words.moment(held_until)}" if held_until else said


def sentence_of(decided: OfferDecided) -> str:
    """What a decision comes to, as a sentence."""
    why = reason_of(decided.outcome, decided.reason, decided.held_until, decided.trigger)
    if decided.held_until:
        return f"{why}, then decided again."
    return f"{why}: the offer is sent." if decided.outcome == "approved" else f"{why}. No offer is sent."


def explained_checks(decided: OfferDecided) -> tuple[CheckShown, ...]:
    """Every check of a decision, in its order."""
    return tuple(_check(one, decided) for one in decided.checks)


def _check(check: Check, decided: OfferDecided) -> CheckShown:
    return CheckShown(
        title=words.check(check.name, decided.trigger),
        channel=words.channel(check.channel) if check.channel else "",
        value=check.value,
        passed=check.passed,
        effect="" if check.passed else _effect(check, decided),
    )


def _effect(check: Check, decided: OfferDecided) -> str:
    """What a failed check did: it closed one channel while others stayed open, or it stood against the offer."""
    named = {one.channel for one in decided.checks if one.channel}
    closed = {one.channel for one in decided.checks if one.channel and not one.passed}
    if check.channel and named - closed:
        return f"closes {words.channel(check.channel)} only"
    return "held it back" if decided.outcome == "held" else "stopped it"
