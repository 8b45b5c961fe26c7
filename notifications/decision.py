"""Decision: read what matters for an abandonment, evaluate it, store the outcome if nothing has changed meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Literal

import msgspec

from mesh import Cancel, Mesh, Received, Retry, Timer
from mesh.envelope import derive_id
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartScored, CartUpdated
from mesh.events.contact import Contact, ContactReserved
from mesh.events.offer import Check, OfferDecided, OfferDue
from mesh.events.order import PurchaseMarked, shoppers
from mesh.history import History, Unchanged
from mesh.publish import Change
from notifications import coupon
from notifications.decision_input import DecisionInput
from notifications.evaluation import Evaluation, evaluate
from notifications.journeys import Journey
from notifications.shopper_profile import ShopperProfile, profile_of
from notifications.shopper_regions import RecentWrites, known

MOVES = (CartUpdated, CartConverted, CartClosed, CartAbandoned)
"""After any of these an abandonment is out of date."""


class DecisionContext(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions are made with: the journey, the coupons' secret, what was just written about shoppers."""

    journey: Journey
    secret: str
    recent: RecentWrites


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be evaluated: an abandonment, for the `attempt`-th time, with its score where that is at hand."""

    cart_id: str
    abandonment_id: str
    attempt: int
    scored: CartScored | None = None


async def decide(request: DecisionRequest, mesh: Mesh, context: DecisionContext, *, delivery: int = 1) -> list[Change]:
    """The decision with its conditions; empty when it was made before.

    `delivery` counts how often this was tried: an abandonment that cannot be read yet is
    waited for a little longer each time (Retry).
    """
    history = await mesh.history(request.cart_id, "cart", "offer")
    last = newest_decision(history, request.abandonment_id)
    if last and (last.outcome != "held" or last.attempt >= request.attempt):
        return []
    abandoned = next((one for one in history.of(CartAbandoned) if one.id == request.abandonment_id), None)
    if abandoned is None:
        pause = timedelta(milliseconds=25 * max(delivery, 1))
        raise Retry(f"abandonment {request.abandonment_id} is not readable yet", after=pause)
    scored = request.scored or _score(history, request.abandonment_id)
    inputs, conditions = await _gather(abandoned, history, scored, mesh)
    now = datetime.now(UTC)
    evaluation = evaluate(inputs, context.journey, now)
    decided = _decision_event(abandoned, request.attempt, scored, evaluation, context)
    changes: list[Change] = [decided, *history.unchanged(*MOVES, OfferDecided)]
    if has_newer(history, abandoned):
        return changes  # the cart's timer belongs to the newer abandonment
    if decided.outcome == "approved":
        kept = tuple(one for one in inputs.contacts if one.at > now - context.journey.cap_window)
        contact = Contact(offer_id=decided.offer_id, at=now)
        changes.append(ContactReserved(visitor_id=decided.visitor_id, recent=(*kept, contact)))
        changes += conditions
    if decided.held_until:
        due = OfferDue(cart_id=request.cart_id, abandonment_id=request.abandonment_id, attempt=request.attempt + 1)
        changes.append(Timer(due, decided.held_until))
    else:
        changes.append(Cancel(OfferDue, request.cart_id))
    return changes


def superseded(abandoned: Received[CartAbandoned], last: OfferDecided | None, context: DecisionContext) -> OfferDecided:
    """The end of an abandonment whose cart was left again before its offer was decided or while it was held."""
    check = Check(name="cart", passed=False, value="left again later")
    evaluation = Evaluation(outcome="dropped", reason="cart moved on", checks=(check,))
    return _decision_event(abandoned, last.attempt + 1 if last else 1, None, evaluation, context)


def cart_state(
    abandoned: Received[CartAbandoned], history: History, bought: Sequence[Received[PurchaseMarked]] = ()
) -> tuple[Literal["left", "moved on", "bought"], str]:
    """Where the cart stands, and why in words. `bought`: the shopper's newest orders, of any cart in any region.

    Events of this region are compared by sequence; orders of other regions by time against the cart's last update.
    """
    after = [one.event for one in history if one.sequence > abandoned.sequence]
    for event in after:
        if isinstance(event, CartConverted | CartClosed):
            return "bought", f"became order {event.order_id}"
    if any(isinstance(event, CartUpdated) for event in after):
        return "moved on", "changed after it was left"
    if any(isinstance(event, CartAbandoned) for event in after):
        return "moved on", "left again later"
    touched = [one for one in history.of(CartUpdated) if one.sequence < abandoned.sequence]
    last, since = (touched[-1].sequence, touched[-1].time) if touched else (abandoned.sequence, abandoned.event.left_at)
    for one in bought:
        if one.sequence > last if one.region == abandoned.region else one.time > since:
            return "bought", f"order {one.event.order_id} in {one.region} after the cart was filled"
    return "left", "unchanged since it was left"


def newest_decision(history: History, abandonment_id: str) -> OfferDecided | None:
    """The newest decision about an abandonment, or None."""
    found = [one.event for one in history.of(OfferDecided) if one.event.abandonment_id == abandonment_id]
    return found[-1] if found else None


def is_open(history: History, abandonment_id: str) -> bool:
    """Whether an abandonment still waits for its last decision."""
    last = newest_decision(history, abandonment_id)
    return last is None or last.outcome == "held"


def has_newer(history: History, abandoned: Received[CartAbandoned]) -> bool:
    """Whether the cart was left again after this abandonment."""
    return any(one.sequence > abandoned.sequence for one in history.of(CartAbandoned))


async def _gather(
    abandoned: Received[CartAbandoned], history: History, scored: CartScored | None, mesh: Mesh
) -> tuple[DecisionInput, list[Unchanged]]:
    """The inputs, and the conditions for storing an offer: not contacted and nothing bought since."""
    cart = abandoned.event
    personal, reserved, shopper, bought = await asyncio.gather(
        mesh.history(cart.visitor_id, "customer"),
        mesh.last(ContactReserved, cart.visitor_id),
        known(cart.visitor_id, cart.customer_id, mesh),
        _bought(cart.visitor_id, cart.customer_id, mesh),
    )
    profile = profile_of(personal)
    if profile.customer_id and profile.customer_id != cart.customer_id:
        shopper = shopper.merged(await known(cart.visitor_id, profile.customer_id, mesh))
        bought |= await _bought(cart.visitor_id, profile.customer_id, mesh)
    conditions = [Unchanged(ContactReserved, cart.visitor_id, reserved.sequence if reserved else 0)]
    conditions += [
        Unchanged(PurchaseMarked, name, order.sequence if order else 0)
        for (region, name), order in bought.items()
        if region == mesh.region
    ]
    regions = tuple(sorted(set(shopper.regions) & set(mesh.others)))
    staleness = await mesh.staleness() if regions else {}
    state = cart_state(abandoned, history, [order for order in bought.values() if order])
    offer_id = _offer_id(abandoned)
    contacts = tuple(one for one in reserved.event.recent if one.offer_id != offer_id) if reserved else ()
    inputs = DecisionInput(
        cart=state[0],
        cart_detail=state[1],
        due=cart.due,
        total=cart.total,
        propensity=scored.propensity if scored else None,
        advice=scored.advice if scored else None,
        contacts=contacts,
        regions=regions,
        staleness=staleness,
        **_personal(profile, cart),
    )
    return inputs, conditions


async def _bought(
    visitor_id: str, customer_id: str | None, mesh: Mesh
) -> dict[tuple[str, str], Received[PurchaseMarked] | None]:
    """The newest order under each name of a shopper, by region and name: here, and what has arrived from the others."""
    sought = list(product((mesh.region, *mesh.others), shoppers(visitor_id, customer_id)))
    found = await asyncio.gather(*(mesh.last(PurchaseMarked, name, region=region) for region, name in sought))
    return dict(zip(sought, found, strict=True))


def _personal(profile: ShopperProfile, cart: CartAbandoned) -> dict[str, object]:
    return {
        "person": profile.customer_id or cart.customer_id or cart.visitor_id,
        "email_known": profile.email is not None,
        "consent": profile.consent,
        "unsubscribed": profile.unsubscribed,
        "time_zone": profile.time_zone,
    }


def _decision_event(
    abandoned: Received[CartAbandoned],
    attempt: int,
    scored: CartScored | None,
    evaluation: Evaluation,
    context: DecisionContext,
) -> OfferDecided:
    cart, offer_id, approved = abandoned.event, _offer_id(abandoned), evaluation.outcome == "approved"
    code = coupon.code(offer_id, context.secret, context.journey.coupon_prefix)
    return OfferDecided(
        cart_id=cart.cart_id,
        visitor_id=cart.visitor_id,
        offer_id=offer_id,
        abandonment_id=abandoned.id,
        attempt=attempt,
        outcome=evaluation.outcome,
        reason=evaluation.reason,
        checks=evaluation.checks,
        journey=context.journey.name,
        due=cart.due,
        held_until=evaluation.held_until,
        channels=evaluation.channels,
        template=context.journey.template if approved else None,
        coupon=code if approved and evaluation.discount_percent else None,
        discount_percent=evaluation.discount_percent,
        lines=cart.lines,
        recommended=scored.recommended if scored else (),
        total=cart.total,
        model_version=scored.model_version if scored else None,
        propensity=scored.propensity if scored else None,
        assignment=evaluation.assignment,
    )


def _score(history: History, abandonment_id: str) -> CartScored | None:
    found = [one.event for one in history.of(CartScored) if one.event.abandonment_id == abandonment_id]
    return found[-1] if found else None


def _offer_id(abandoned: Received[CartAbandoned]) -> str:
    return derive_id("offer", abandoned.id)
