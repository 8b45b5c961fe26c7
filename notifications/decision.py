"""Decision: read what bears on an abandonment, judge it, write the verdict on condition that it still holds."""

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
from notifications.facts import Facts
from notifications.journeys import Journey
from notifications.judgement import Verdict, judge
from notifications.person import Person, person
from notifications.shoppers import Recent, known

MOVES = (CartUpdated, CartConverted, CartClosed, CartAbandoned)
"""After any of these an abandonment is no longer the truth of its cart."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions are made with: the journey, the coupons' secret, what was just written of shoppers."""

    journey: Journey
    secret: str
    recent: Recent


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be judged: an abandonment, for the `attempt`-th time, with its score where that is at hand."""

    cart_id: str
    abandonment_id: str
    attempt: int
    scored: CartScored | None = None


async def decide(case: Case, mesh: Mesh, desk: Desk, *, delivery: int = 1) -> list[Change]:
    """The decision with its conditions; empty when this judgement was made before.

    `delivery` counts how often this was tried: an abandonment that is told of but not readable yet is
    waited for a little longer each time (Retry).
    """
    story = await mesh.history(case.cart_id, "cart", "offer")
    last = newest(story, case.abandonment_id)
    if last and (last.outcome != "held" or last.attempt >= case.attempt):
        return []
    abandoned = next((one for one in story.of(CartAbandoned) if one.id == case.abandonment_id), None)
    if abandoned is None:
        pause = timedelta(milliseconds=25 * max(delivery, 1))
        raise Retry(f"abandonment {case.abandonment_id} is not readable yet", after=pause)
    scored = case.scored or _score(story, case.abandonment_id)
    facts, unspent = await _gather(abandoned, story, scored, mesh)
    now = datetime.now(UTC)
    verdict = judge(facts, desk.journey, now)
    decided = _written(abandoned, case.attempt, scored, verdict, desk)
    changes: list[Change] = [decided, *story.unchanged(*MOVES, OfferDecided)]
    if has_newer(story, abandoned):
        return changes  # the cart's timer belongs to the newer abandonment
    if decided.outcome == "approved":
        kept = tuple(one for one in facts.contacts if one.at > now - desk.journey.cap_window)
        contact = Contact(offer_id=decided.offer_id, at=now)
        changes.append(ContactReserved(visitor_id=decided.visitor_id, recent=(*kept, contact)))
        changes += unspent
    if decided.held_until:
        due = OfferDue(cart_id=case.cart_id, abandonment_id=case.abandonment_id, attempt=case.attempt + 1)
        changes.append(Timer(due, decided.held_until))
    else:
        changes.append(Cancel(OfferDue, case.cart_id))
    return changes


def overtaken(abandoned: Received[CartAbandoned], last: OfferDecided | None, desk: Desk) -> OfferDecided:
    """The end of an abandonment whose cart was left again before its offer was decided or while it was held."""
    check = Check(name="cart", passed=False, value="left again later")
    verdict = Verdict(outcome="dropped", reason="cart moved on", checks=(check,))
    return _written(abandoned, last.attempt + 1 if last else 1, None, verdict, desk)


def cart_truth(
    abandoned: Received[CartAbandoned], story: History, bought: Sequence[Received[PurchaseMarked]] = ()
) -> tuple[Literal["left", "moved on", "bought"], str]:
    """Where the cart stands, and why in words. `bought`: the shopper's newest orders, of any cart in any region.

    What happened here is judged by sequence; orders in other regions by their time against the cart's last update.
    """
    after = [one.event for one in story if one.sequence > abandoned.sequence]
    for event in after:
        if isinstance(event, CartConverted | CartClosed):
            return "bought", f"became order {event.order_id}"
    if any(isinstance(event, CartUpdated) for event in after):
        return "moved on", "changed after it was left"
    if any(isinstance(event, CartAbandoned) for event in after):
        return "moved on", "left again later"
    touched = [one for one in story.of(CartUpdated) if one.sequence < abandoned.sequence]
    last, since = (touched[-1].sequence, touched[-1].time) if touched else (abandoned.sequence, abandoned.event.left_at)
    for one in bought:
        if one.sequence > last if one.region == abandoned.region else one.time > since:
            return "bought", f"order {one.event.order_id} in {one.region} after the cart was filled"
    return "left", "unchanged since it was left"


def newest(story: History, abandonment_id: str) -> OfferDecided | None:
    """The newest decision about an abandonment, or None."""
    found = [one.event for one in story.of(OfferDecided) if one.event.abandonment_id == abandonment_id]
    return found[-1] if found else None


def is_open(story: History, abandonment_id: str) -> bool:
    """Whether an abandonment still waits for its last decision."""
    last = newest(story, abandonment_id)
    return last is None or last.outcome == "held"


def has_newer(story: History, abandoned: Received[CartAbandoned]) -> bool:
    """Whether the cart was left again after this abandonment."""
    return any(one.sequence > abandoned.sequence for one in story.of(CartAbandoned))


async def _gather(
    abandoned: Received[CartAbandoned], story: History, scored: CartScored | None, mesh: Mesh
) -> tuple[Facts, list[Unchanged]]:
    """The facts, and what must still hold of the shopper when an offer is written: not contacted, not bought since."""
    told = abandoned.event
    personal, reserved, shopper, bought = await asyncio.gather(
        mesh.history(told.visitor_id, "customer"),
        mesh.last(ContactReserved, told.visitor_id),
        known(told.visitor_id, told.customer_id, mesh),
        _bought(told.visitor_id, told.customer_id, mesh),
    )
    who = person(personal)
    if who.customer_id and who.customer_id != told.customer_id:
        shopper = shopper.merged(await known(told.visitor_id, who.customer_id, mesh))
        bought |= await _bought(told.visitor_id, who.customer_id, mesh)
    unspent = [Unchanged(ContactReserved, told.visitor_id, reserved.sequence if reserved else 0)]
    unspent += [
        Unchanged(PurchaseMarked, name, order.sequence if order else 0)
        for (region, name), order in bought.items()
        if region == mesh.region
    ]
    regions = tuple(sorted(set(shopper.regions) & set(mesh.others)))
    staleness = await mesh.staleness() if regions else {}
    cart = cart_truth(abandoned, story, [order for order in bought.values() if order])
    offer_id = _offer_id(abandoned)
    contacts = tuple(one for one in reserved.event.recent if one.offer_id != offer_id) if reserved else ()
    facts = Facts(
        cart=cart[0],
        cart_detail=cart[1],
        due=told.due,
        total=told.total,
        propensity=scored.propensity if scored else None,
        advice=scored.advice if scored else None,
        contacts=contacts,
        regions=regions,
        staleness=staleness,
        **_personal(who, told),
    )
    return facts, unspent


async def _bought(
    visitor_id: str, customer_id: str | None, mesh: Mesh
) -> dict[tuple[str, str], Received[PurchaseMarked] | None]:
    """The newest order under each name of a shopper, by region and name: here, and what was heard of the others."""
    sought = list(product((mesh.region, *mesh.others), shoppers(visitor_id, customer_id)))
    found = await asyncio.gather(*(mesh.last(PurchaseMarked, name, region=region) for region, name in sought))
    return dict(zip(sought, found, strict=True))


def _personal(who: Person, told: CartAbandoned) -> dict[str, object]:
    return {
        "person": who.customer_id or told.customer_id or told.visitor_id,
        "email_known": who.email is not None,
        "consent": who.consent,
        "unsubscribed": who.unsubscribed,
        "time_zone": who.time_zone,
    }


def _written(
    abandoned: Received[CartAbandoned], attempt: int, scored: CartScored | None, verdict: Verdict, desk: Desk
) -> OfferDecided:
    told, offer_id, approved = abandoned.event, _offer_id(abandoned), verdict.outcome == "approved"
    code = coupon.code(offer_id, desk.secret, desk.journey.coupon_prefix)
    return OfferDecided(
        cart_id=told.cart_id,
        visitor_id=told.visitor_id,
        offer_id=offer_id,
        abandonment_id=abandoned.id,
        attempt=attempt,
        outcome=verdict.outcome,
        reason=verdict.reason,
        checks=verdict.checks,
        journey=desk.journey.name,
        due=told.due,
        held_until=verdict.held_until,
        channels=verdict.channels,
        template=desk.journey.template if approved else None,
        coupon=code if approved and verdict.discount_percent else None,
        discount_percent=verdict.discount_percent,
        lines=told.lines,
        recommended=scored.recommended if scored else (),
        total=told.total,
        model_version=scored.model_version if scored else None,
        propensity=scored.propensity if scored else None,
        assignment=verdict.assignment,
    )


def _score(story: History, abandonment_id: str) -> CartScored | None:
    found = [one.event for one in story.of(CartScored) if one.event.abandonment_id == abandonment_id]
    return found[-1] if found else None


def _offer_id(abandoned: Received[CartAbandoned]) -> str:
    return derive_id("offer", abandoned.id)
