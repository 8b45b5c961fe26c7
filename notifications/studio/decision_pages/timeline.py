"""Timeline: everything that happened to one cart and its offers, with each check of each decision, in plain words."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from mesh import Mesh, Received
from mesh.event import declaration_of
from mesh.events.cart import (
    CartAbandoned,
    CartClosed,
    CartConverted,
    CartIdle,
    CartLine,
    CartRecovered,
    CartScored,
    CartUpdated,
)
from mesh.events.offer import (
    Check,
    OfferClaimed,
    OfferClicked,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferRequested,
    OfferSent,
    OfferShown,
    OfferWithdrawn,
)
from notifications.studio.decision_pages import words

DOMAINS = ("cart", "offer")
"""The domains whose events, under the cart's id, are its timeline. None of them is personal."""
BASE_RATE = "base-rate"
"""The version of a score that no model computed."""
Kind = Literal["cart", "score", "approved", "held", "dropped", "done", "failed", "bought"]


class CheckShown(msgspec.Struct, frozen=True, kw_only=True):
    """A check: what it asks, the value it saw, and whether it passed.

    `effect` says what a failed one did; empty for one that passed.
    """

    title: str
    channel: str
    value: str
    passed: bool
    effect: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event: when, in which region, what happened, in a sentence, with facts, and of a decision its checks."""

    at: datetime
    region: str
    kind: Kind
    title: str
    sentence: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    checks: tuple[CheckShown, ...] = ()
    journey: str = ""
    journey_revision: int | None = None
    template: str = ""
    template_revision: int | None = None


async def read_timeline(mesh: Mesh, cart_id: str) -> list[Received]:
    """The events of a cart in every region, as far as they are here, oldest first. Raises Unavailable, InvalidKey."""
    found = [*await mesh.history(cart_id, *DOMAINS)]
    for region in mesh.others:
        found += await mesh.history_elsewhere(region, cart_id, *DOMAINS)
    return sorted(found, key=lambda one: one.event_time) if _several_regions(found) else found


def entries(history: Iterable[Received]) -> list[Entry]:
    """The timeline of these events. A timer that merely went off is left out."""
    return [_entry(one) for one in history if not isinstance(one.event, CartIdle)]


def summary(history: Sequence[Received]) -> list[Entry]:
    """The newest decision of each journey: why there is an offer or none."""
    newest: dict[str, Received[OfferDecided]] = {}
    for one in history:
        if isinstance(one.event, OfferDecided):
            newest[one.event.journey] = one
    return [_entry(one) for one in newest.values()]


def _entry(received: Received) -> Entry:
    name = declaration_of(type(received.event)).name.replace(".", " ").replace("_", " ")
    made = _of_cart(received) or _of_offer(received) or Entry(**_place(received), kind="cart", title=name.capitalize())
    event = received.event
    if journey := getattr(event, "journey", ""):
        made = msgspec.structs.replace(made, journey=journey, journey_revision=event.journey_revision)
    template = getattr(event, "template", None) or ""
    return msgspec.structs.replace(made, template=template, template_revision=getattr(event, "template_revision", None))


def _of_cart(received: Received) -> Entry | None:  # noqa: PLR0911  one return for each kind of event
    place = _place(received)
    match received.event:
        case CartUpdated(lines=(), refused=None):
            return Entry(**place, kind="cart", title="Cart emptied")
        case CartUpdated(lines=lines, refused=refused):
            sentence = f"An update was not accepted: {refused}" if refused else _lines(lines)
            return Entry(**place, kind="cart", title="Cart changed", sentence=sentence)
        case CartAbandoned(total=total, lines=lines, left_at=left):
            facts = (("Value", words.money(total)), ("Last touched", words.moment(left)))
            return Entry(**place, kind="cart", title="Cart left", sentence=_lines(lines), facts=facts)
        case CartScored() as scored:
            return _score(scored, place)
        case CartConverted(order_id=order):
            return Entry(**place, kind="bought", title="Bought", sentence=f"The cart became order {order}")
        case CartClosed(order_id=order, region=region):
            sentence = f"The shopper bought elsewhere: order {order} in {region}"
            return Entry(**place, kind="bought", title="Cart closed", sentence=sentence)
        case CartRecovered(order_id=order, value=value):
            sentence = f"Order {order} followed the offer: {words.money(value)}"
            return Entry(**place, kind="bought", title="Cart recovered", sentence=sentence)
    return None


def _score(scored: CartScored, place: dict) -> Entry:
    base = scored.model_version == BASE_RATE
    facts = (
        ("Buys without an offer", f"{scored.propensity:.1%}"),
        ("Model", "none yet, so this is the average" if base else scored.model_version),
        *(("Because", f"{one.text} ({one.weight:+.2f})") for one in scored.reasons),
    )
    return Entry(**place, kind="score", title="Cart scored", facts=facts)


def _of_offer(received: Received) -> Entry | None:  # noqa: PLR0911  one return for each kind of event
    place, event = _place(received), received.event
    by = words.channel(getattr(event, "channel", ""))
    match event:
        case OfferDecided() as decided:
            return _decision(decided, place)
        case OfferClaimed(attempt=attempt):
            return Entry(**place, kind="done", title="Sending begun", sentence=f"By {by}, attempt {attempt}")
        case OfferRequested():
            return Entry(**place, kind="done", title="Page opened", sentence="A page is open that can show the offer")
        case OfferSent():
            sentence = "The card went to the shopper's page" if by == "on site" else "The mail server took it"
            return Entry(**place, kind="done", title=f"Sent by {by}", sentence=sentence)
        case OfferDeferred(reason=reason, until=until, attempt=attempt):
            sentence = f"Attempt {attempt}: {reason}. Tried again at {words.moment(until)}"
            return Entry(**place, kind="held", title=f"Deferred by {by}", sentence=sentence)
        case OfferFailed(reason=reason):
            return Entry(**place, kind="failed", title=f"Failed by {by}", sentence=_first_upper(reason))
        case OfferWithdrawn(reason=reason):
            return Entry(**place, kind="dropped", title=f"Withdrawn from {by}", sentence=_first_upper(reason))
        case OfferShown():
            return Entry(**place, kind="done", title="Seen", sentence=f"It came into the shopper's view, {by}")
        case OfferClicked():
            return Entry(**place, kind="done", title="Clicked", sentence=f"The shopper followed it to the shop, {by}")
    return None


def _decision(decided: OfferDecided, place: dict) -> Entry:
    facts = [("Value", words.money(decided.total)), ("Discount", f"{decided.discount_percent} %")]
    if decided.channels:
        facts.append(("Goes by", words.channels(decided.channels)))
    if decided.attempt > 1:
        facts.append(("Attempt", str(decided.attempt)))
    if decided.assignment:
        arm = "no offer" if decided.assignment.arm == "none" else f"{decided.assignment.arm} %"
        facts.append(("Arm of the experiment", f"{arm}, given with probability {decided.assignment.probability:.3g}"))
    return Entry(
        **place,
        kind=decided.outcome,
        title=f"{words.outcome(decided.outcome)} by {decided.journey}",
        sentence=sentence_of(decided.outcome, decided.reason, decided.held_until),
        facts=tuple(facts),
        checks=tuple(_check(one, decided) for one in decided.checks),
    )


def sentence_of(outcome: str, reason: str, held_until: datetime | None) -> str:
    """What a decision comes to, as a sentence."""
    if outcome == "approved":
        return "Every check that matters passed: the offer is sent."
    if held_until:
        return f"{words.reason(reason)}. Held until {words.moment(held_until)}, then decided again."
    return f"{words.reason(reason)}. No offer is sent."


def _check(check: Check, decided: OfferDecided) -> CheckShown:
    return CheckShown(
        title=words.check(check.name),
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


def _place(received: Received) -> dict:
    return {"at": received.event_time, "region": received.region}


def _lines(lines: Sequence[CartLine]) -> str:
    return ", ".join(f"{one.quantity} x {one.name or one.product_id}" for one in lines)


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _several_regions(found: Iterable[Received]) -> bool:
    return len({one.region for one in found}) > 1
