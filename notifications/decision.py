"""Decision: evaluate the runs of an abandonment and store the outcome if nothing has changed meanwhile."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Cancel, Mesh, Received, Retry, Timer
from mesh.envelope import derive_id
from mesh.event import Event
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartScored, CartUpdated
from mesh.events.contact import Contact, ContactReserved
from mesh.events.offer import Check, OfferDecided, OfferDue
from mesh.history import History
from mesh.publish import Change
from notifications import coupon
from notifications.conditions.fields import facts_of
from notifications.decision_input import DecisionInput, PriorityClaim
from notifications.evaluation import Evaluation, evaluate
from notifications.journeys import Journey
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.read_input import read_input
from notifications.run import run_id
from notifications.templates.live import LiveTemplates

CART_CHANGES = (CartUpdated, CartConverted, CartClosed)
"""After any of these an abandonment is out of date.

A cart is left again only after another update, as each update is abandoned once, so that needs no condition.
"""
KEEP_CONTACTS = timedelta(days=30)
"""The least time for which contacts are remembered, so that a longer window or interval published later finds them."""


class DecisionContext(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions are made with: the live journeys and templates, and the coupons' secret."""

    journeys: LiveJourneys
    templates: LiveTemplates
    secret: str


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be decided: an abandonment, for the `attempt`-th time, with its score where that is at hand.

    `journey` names the run whose timer fired; None: every run. A first attempt is always of every run that is
    undecided, so that journeys of higher priority are decided first.
    """

    cart_id: str
    abandonment_id: str
    attempt: int
    journey: str | None = None
    scored: CartScored | None = None


async def decide(request: DecisionRequest, mesh: Mesh, context: DecisionContext, *, delivery: int = 1) -> list[Change]:
    """The decisions with their conditions, one per run that is due; empty when they were made before.

    `delivery` counts how often this was tried: an abandonment that cannot be read yet is
    waited for a little longer each time (Retry).
    """
    scores = () if request.scored else (CartScored,)
    history = await mesh.history(request.cart_id, CartAbandoned, *CART_CHANGES, OfferDecided, *scores)
    abandoned = next((one for one in history.of(CartAbandoned) if one.id == request.abandonment_id), None)
    if abandoned is None:
        pause = timedelta(milliseconds=25 * max(delivery, 1))
        raise Retry(f"abandonment {request.abandonment_id} is not readable yet", after=pause)
    runs = list(_due_runs(request, history, context.journeys))
    if not runs:
        return []
    scored = request.scored or _score(history, request.abandonment_id)
    read = await read_input(abandoned, history, scored, mesh)
    now = datetime.now(UTC)
    met = context.journeys.for_cart(facts_of(read.inputs, now))
    changes: list[Change] = [*_superseded(history, abandoned, context)]
    approved: list[Contact] = []
    held = _held_runs(history, request.abandonment_id, context.journeys)
    for run, attempt in runs:
        offer_id = _offer_id(run.name, abandoned)
        contacts = (*(one for one in read.contacts if one.offer_id != offer_id), *approved)
        before = tuple(one for one in held if one.priority > run.journey.priority)
        inputs = msgspec.structs.replace(read.inputs, contacts=contacts, before=before)
        evaluation = _evaluate(run, inputs, now, belongs=context.journeys.belongs(run, met))
        decided = _decision_event(abandoned, attempt, scored, evaluation, run, context)
        changes.append(decided)
        held = [one for one in held if one.journey != run.name]
        if decided.held_until:
            held.append(_claim(run, decided.held_until))
        if decided.outcome == "approved":
            approved.append(Contact(offer_id=offer_id, at=now, journey=run.name))
    decisions = [one for one in changes if isinstance(one, OfferDecided) and one.abandonment_id == abandoned.id]
    changes += history.unchanged(*_watched(decisions), OfferDecided)
    if _has_newer(history, abandoned):
        return changes  # the runs' timers belong to the newer abandonment
    if approved:
        window = max(KEEP_CONTACTS, timedelta(seconds=context.journeys.longest_contact_memory))
        kept = tuple(one for one in read.contacts if one.at > now - window)
        changes += [ContactReserved(shopper=name, recent=(*kept, *approved)) for name in read.names]
        changes += read.conditions
    return changes + [_timer(decided) for decided in decisions]


def _watched(decisions: Sequence[OfferDecided]) -> tuple[type[Event], ...]:
    """What must not have happened to the cart while it was decided.

    An order or a change just before a decision that sends nothing leaves it as true as one just after it, so that is
    no condition, and needs no message to carry it. What is compared as an experiment is decided as strictly as an
    approval. The decisions about a cart are made one after another, as each is conditional on the one before: so the
    newest abandonment's close what earlier ones left open, and their timers are the last.
    """
    strict = any(one.outcome == "approved" or (one.assignment and one.assignment.eligible) for one in decisions)
    return CART_CHANGES if strict else ()


def _superseded(
    history: History, abandoned: Received[CartAbandoned], context: DecisionContext
) -> Iterator[OfferDecided]:
    """The ends of earlier abandonments' open runs, because the cart was left again before they were decided."""
    check = Check(name="cart", passed=False, value="left again later")
    evaluation = Evaluation(outcome="dropped", reason="cart moved on", checks=(check,))
    for earlier in history.of(CartAbandoned):
        if earlier.sequence >= abandoned.sequence:
            continue
        names = _decided_journeys(history, earlier.id) or {run.name for run in context.journeys}
        for name in sorted(names):
            last = _newest_decision(history, earlier.id, name)
            if last is None or last.outcome == "held":
                run = context.journeys.get(name) or _stopped(name)
                attempt = last.attempt + 1 if last else 1
                yield _decision_event(earlier, attempt, None, evaluation, run, context)


def _newest_decision(history: History, abandonment_id: str, journey: str) -> OfferDecided | None:
    """The newest decision of a journey about an abandonment, or None."""
    found = [one.event for one in history.of(OfferDecided)]
    found = [one for one in found if (one.abandonment_id, one.journey) == (abandonment_id, journey)]
    return found[-1] if found else None


def _decided_journeys(history: History, abandonment_id: str) -> set[str]:
    """Journeys that have decided about an abandonment. All that were live then, as they decide together at first."""
    return {one.event.journey for one in history.of(OfferDecided) if one.event.abandonment_id == abandonment_id}


def _has_newer(history: History, abandoned: Received[CartAbandoned]) -> bool:
    """Whether the cart was left again after this abandonment."""
    return any(one.sequence > abandoned.sequence for one in history.of(CartAbandoned))


def _due_runs(request: DecisionRequest, history: History, journeys: LiveJourneys) -> Iterator[tuple[LiveJourney, int]]:
    """The runs to decide now, each with the number of its attempt; those of higher priority first."""
    due = list(journeys) if request.attempt == 1 and not _decided_journeys(history, request.abandonment_id) else []
    if request.journey is not None and all(run.name != request.journey for run in due):
        due.append(journeys.get(request.journey) or _stopped(request.journey))
    for run in due:
        last = _newest_decision(history, request.abandonment_id, run.name)
        if last is None or (run.name == request.journey and last.outcome == "held" and last.attempt < request.attempt):
            yield run, last.attempt + 1 if last else 1


def _held_runs(history: History, abandonment_id: str, journeys: LiveJourneys) -> list[PriorityClaim]:
    found = []
    for run in journeys:
        last = _newest_decision(history, abandonment_id, run.name)
        if last and last.held_until:
            found.append(_claim(run, last.held_until))
    return found


def _claim(run: LiveJourney, until: datetime) -> PriorityClaim:
    journey = run.journey
    return PriorityClaim(
        journey=run.name, priority=journey.priority, until=until, contact_interval=journey.contact_interval
    )


def _evaluate(run: LiveJourney, inputs: DecisionInput, now: datetime, *, belongs: bool | None) -> Evaluation:
    if run.journey.active:
        return evaluate(inputs, run.journey, now, belongs=belongs)
    check = Check(name="journey", passed=False, value=f"{run.name} was stopped")
    return Evaluation(outcome="dropped", reason="journey stopped", checks=(check,))


def _stopped(name: str) -> LiveJourney:
    """Stands for a journey that has runs and no document any more."""
    return LiveJourney(journey=Journey(name=name, template=name, active=False))


def _timer(decided: OfferDecided) -> Change:
    if decided.held_until is None:
        return Cancel(OfferDue, decided.run_id)
    due = OfferDue(
        run_id=decided.run_id,
        cart_id=decided.cart_id,
        journey=decided.journey,
        abandonment_id=decided.abandonment_id,
        attempt=decided.attempt + 1,
    )
    return Timer(due, decided.held_until)


def _decision_event(
    abandoned: Received[CartAbandoned],
    attempt: int,
    scored: CartScored | None,
    evaluation: Evaluation,
    run: LiveJourney,
    context: DecisionContext,
) -> OfferDecided:
    cart, offer_id, approved = abandoned.event, _offer_id(run.name, abandoned), evaluation.outcome == "approved"
    code = coupon.code(offer_id, context.secret, run.journey.coupon_prefix)
    return OfferDecided(
        cart_id=cart.cart_id,
        visitor_id=cart.visitor_id,
        offer_id=offer_id,
        abandonment_id=abandoned.id,
        attempt=attempt,
        outcome=evaluation.outcome,
        reason=evaluation.reason,
        checks=evaluation.checks,
        journey=run.name,
        due=cart.due,
        run_id=run_id(run.name, cart.cart_id),
        journey_revision=run.revision,
        template_revision=context.templates.revision(run.journey.template),
        held_until=evaluation.held_until,
        channels=evaluation.channels,
        template=run.journey.template if approved else None,
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


def _offer_id(journey: str, abandoned: Received[CartAbandoned]) -> str:
    return derive_id("offer", journey, abandoned.id)
