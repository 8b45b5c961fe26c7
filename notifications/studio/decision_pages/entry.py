"""Entry: one event of a cart or its offers as a marketer reads it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from mesh import Received
from mesh.channels import EMAIL, ONSITE, PUSH, SMS
from mesh.event import declaration_of
from mesh.events.cart import (
    CartAbandoned,
    CartClosed,
    CartConverted,
    CartLine,
    CartRecovered,
    CartScored,
    CartUpdated,
)
from mesh.events.offer import (
    OfferClaimed,
    OfferClicked,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferOpened,
    OfferRecovered,
    OfferRequested,
    OfferSent,
    OfferShown,
    OfferTriggered,
    OfferWithdrawn,
)
from notifications.cart_timeline import is_message
from notifications.studio.decision_pages import words
from notifications.studio.decision_pages.explained_decision import CheckShown, explained_checks, sentence_of
from notifications.studio.decision_pages.found_entry import found

BASE_RATE = "base-rate"
"""The version of a score that no model computed."""
TAKEN = {
    EMAIL.name: "The mail server took it",
    ONSITE.name: "The card went to the shopper's page",
    SMS.name: "The provider took it",
    PUSH.name: "The push service took it",
}
"""What it means that an offer was sent, by the channel."""
Kind = Literal["cart", "score", "approved", "held", "dropped", "done", "failed", "bought"]


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
    mail: str = ""
    """The offer whose message was sent with this event."""
    channel: str = ""


def entry_of(received: Received) -> Entry:
    """An event as an entry; one of a kind that is not known here by its name alone."""
    name = declaration_of(type(received.event)).name.replace(".", " ").replace("_", " ")
    made = _of_trigger(received) or _of_cart(received) or _of_offer(received)
    made = made or Entry(**_place(received), kind="cart", title=name.capitalize())
    event = received.event
    if journey := getattr(event, "journey", ""):
        made = msgspec.structs.replace(made, journey=journey, journey_revision=getattr(event, "journey_revision", None))
    template = getattr(event, "template", None) or ""
    return msgspec.structs.replace(made, template=template, template_revision=getattr(event, "template_revision", None))


def _of_trigger(received: Received) -> Entry | None:
    if isinstance(received.event, OfferRecovered):
        sentence = f"Order {received.event.order_id} followed the offer: {words.money(received.event.value)}"
        return Entry(**_place(received), kind="bought", title="Order won", sentence=sentence)
    if not isinstance(received.event, OfferTriggered):
        return None
    title, sentence, facts = found(received.event)
    return Entry(**_place(received), kind="cart", title=title, sentence=sentence, facts=facts)


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


def _score(scored: CartScored, place: dict[str, Any]) -> Entry:
    base = scored.model_version == BASE_RATE
    facts = (
        ("Buys without an offer", f"{scored.propensity:.1%}"),
        ("Model", "none yet, so this is the average" if base else scored.model_version),
        *(("Because", one.text if base else f"{one.text} ({one.weight:+.2f})") for one in scored.reasons),
    )
    return Entry(**place, kind="score", title="Cart scored", facts=facts)


def _of_offer(received: Received) -> Entry | None:  # noqa: PLR0911  one return for each kind of event
    place, event = _place(received), received.event
    by = words.channel(getattr(event, "channel", ""))
    match event:
        case OfferDecided() as decided:
            return _decision(decided, place)
        case OfferClaimed(attempt=attempt):
            return Entry(**place, kind="done", title=f"Sending begun ({by})", sentence=f"Attempt {attempt}")
        case OfferRequested():
            return Entry(**place, kind="done", title="Page opened", sentence="A page is open that can show the offer")
        case OfferSent():
            sentence = TAKEN.get(event.channel, "It was taken")
            mail = event.offer_id if is_message(received) else ""
            return Entry(
                **place, kind="done", title=f"Sent ({by})", sentence=sentence, mail=mail, channel=event.channel
            )
        case OfferDeferred(reason=reason, until=until, attempt=attempt):
            sentence = f"Attempt {attempt}: {reason}. Tried again at {words.moment(until)}"
            return Entry(**place, kind="held", title=f"Deferred ({by})", sentence=sentence)
        case OfferFailed(reason=reason):
            return Entry(**place, kind="failed", title=f"Failed ({by})", sentence=_first_upper(reason))
        case OfferWithdrawn(reason=reason):
            return Entry(**place, kind="dropped", title=f"Withdrawn ({by})", sentence=_first_upper(reason))
    return _of_shopper(received)


def _of_shopper(received: Received) -> Entry | None:
    """What was done with an offer where it came to, as far as anybody reports it."""
    place, event = _place(received), received.event
    by = words.channel(getattr(event, "channel", ""))
    match event:
        case OfferShown():
            return Entry(**place, kind="done", title="Seen", sentence=f"It came into the shopper's view, {by}")
        case OfferOpened(by=way, reason=reason):
            return Entry(**place, kind="done", title=words.OPENED[way], sentence=_first_upper(reason))
        case OfferClicked():
            return Entry(**place, kind="done", title="Clicked", sentence=f"The shopper followed it to the shop, {by}")
    return None


def _decision(decided: OfferDecided, place: dict[str, Any]) -> Entry:
    facts = [("Value", words.money(decided.total)), ("Discount", words.discount(decided))]
    if decided.step:
        facts.insert(0, ("Step", f"{decided.position}, {decided.step}"))
    if decided.variant:
        facts.insert(1, ("Variant", decided.variant))
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
        title=f"{words.outcome(decided.outcome)} by {decided.journey}{words.step(decided.step, decided.variant)}",
        sentence=sentence_of(decided),
        facts=tuple(facts),
        checks=explained_checks(decided),
    )


def _place(received: Received) -> dict[str, Any]:
    return {"at": received.event_time, "region": received.region}


def _lines(lines: Sequence[CartLine]) -> str:
    return ", ".join(f"{one.quantity} x {one.name or one.product_id}" for one in lines)


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
