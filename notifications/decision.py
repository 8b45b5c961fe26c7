"""Decision: evaluate the runs of an abandonment and store the outcome if nothing has changed meanwhile."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Cancel, Mesh, Received, Retry, Timer
from mesh.event import Event
from mesh.events.cart import CartScored
from mesh.events.contact import Contact, ContactReserved
from mesh.events.offer import CART_ABANDONED, OfferClicked, OfferDecided, OfferDue
from mesh.history import History, Unchanged
from mesh.money import Money
from mesh.publish import Change
from notifications.conditions.fields import facts_of
from notifications.decision_context import DecisionContext, DecisionRequest
from notifications.decision_input import PriorityClaim, recorded
from notifications.due_steps import DueStep, due_steps, first_step, stopped
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.journeys.steps import condition_of
from notifications.occasion import Started, changes_of, find, kinds_of, same_kind, trigger_of
from notifications.progress import FATES, WAITING, journeys_decided, progress_of, step_at
from notifications.promises.promise import promise
from notifications.promises.terms import habit_of
from notifications.read_input import ReadInput, read_input
from notifications.step_decision import Situation, evaluate_step, moved_on, offer_id, step_event, wait_for_next

KEEP_CONTACTS = timedelta(days=30)
"""The least time for which contacts are remembered, so that a longer window or interval published later finds them."""


async def decide(
    request: DecisionRequest,
    mesh: Mesh,
    context: DecisionContext,
    *,
    delivery: int = 1,
    now: datetime | None = None,
) -> list[Change]:
    """The decisions with their conditions, one per run that is due; empty when they were made before.

    Where a step is decided for good and its run goes on, the next step is held in the same commit, with its timer.
    `delivery` counts how often this was tried: an abandonment that cannot be read yet is
    waited for a little longer each time (Retry). `now` is aware UTC, by default the present.
    """
    more = () if request.scored or request.trigger != CART_ABANDONED else (CartScored,)
    fates = (*FATES, OfferClicked) if request.position > 1 else ()
    history = await mesh.history(request.cart_id, *kinds_of(request.trigger), OfferDecided, *more, *fates)
    abandoned = _occasion(history, request.abandonment_id, delivery)
    due = await due_steps(request, abandoned, history, context.journeys, mesh)
    if not due:
        return []
    scored = request.scored or _score(history, request.abandonment_id)
    now = now or datetime.now(UTC)
    late = now - (request.asked or now)
    read = await read_input(abandoned, history, scored, mesh, late=late)
    clicks = await _clicks_elsewhere(due, request.cart_id, mesh)
    met = context.journeys.for_cart(facts_of(read.inputs, now))
    at = Situation(
        abandoned=abandoned, history=history, scored=scored, context=context, now=now, clicks=clicks, met=met
    )
    decisions: list[OfferDecided] = []
    approved: list[Contact] = []
    reserved: list[Change] = []
    held = _held_runs(history, request.abandonment_id, context.journeys.on_in(mesh.region))
    for one in due:
        own = offer_id(one.run.name, abandoned.id, one.name)
        contacts = (*(contact for contact in read.contacts if contact.offer_id != own), *approved)
        before = tuple(claim for claim in held if claim.priority > one.run.journey.priority)
        inputs = msgspec.structs.replace(read.inputs, contacts=contacts, before=before)
        inputs = msgspec.structs.replace(inputs, habit=habit_of(inputs, one.run.journey, now))
        found = evaluate_step(one, inputs, at)
        promised = await promise(found.evaluation, found.journey, own, inputs, mesh, now)
        decided = step_event(one, found, at, promised)
        decisions.append(decided)
        reserved += promised.changes
        held = [claim for claim in held if claim.journey != one.run.name]
        if decided.held_until and decided.reason != WAITING:
            held.append(_claim(one.run, decided.held_until))
        if decided.outcome == "approved":
            approved.append(_contact(one, decided, promised.cost, now))
        if following := wait_for_next(one, decided, inputs, at):
            decisions.append(following)
    if request.attempt == 1:
        decisions[0] = msgspec.structs.replace(decisions[0], inputs=recorded(read.inputs))
    changes: list[Change] = [*_superseded(at), *decisions, *reserved]
    changes += history.unchanged(*_watched(decisions, abandoned), OfferDecided)
    if _has_newer(history, abandoned):
        return changes  # the runs' timers belong to the newer abandonment
    if approved:
        changes += _contacts(read, approved, context.journeys, now)
    newest = {decided.run_id: decided for decided in decisions}
    return changes + [_timer(decided) for decided in newest.values()]


def _occasion(history: History, id_: str, delivery: int) -> Started:
    """The abandonment, or what a trigger found, that is decided about. Raises Retry where it cannot be read yet."""
    found = find(history, id_)
    if found is None:
        raise Retry(f"abandonment {id_} is not readable yet", after=timedelta(milliseconds=25 * max(delivery, 1)))
    return found


def _contacts(
    read: ReadInput, approved: Sequence[Contact], journeys: LiveJourneys, now: datetime
) -> Iterator[ContactReserved | Unchanged]:
    """The shopper's contacts with the new ones, and the condition that nobody else has contacted them meanwhile."""
    window = max(KEEP_CONTACTS, timedelta(seconds=journeys.longest_contact_memory))
    kept = tuple(one for one in read.contacts if one.at > now - window)
    for name in read.names:
        yield ContactReserved(shopper=name, recent=(*kept, *approved))
    yield from read.conditions


async def _clicks_elsewhere(due: Sequence[DueStep], cart_id: str, mesh: Mesh) -> tuple[Received, ...]:
    """Clicks that gateways of other regions heard of, where a step asks for clicks."""
    asked = [condition_of(one.step.when) for one in due if one.step]
    if not any(one and one.happening == "clicked" for one in asked):
        return ()
    found = [await mesh.history_elsewhere(region, cart_id, "offer") for region in mesh.others]
    return tuple(one for history in found for one in history)


def _watched(decisions: Sequence[OfferDecided], abandoned: Started) -> tuple[type[Event], ...]:
    """What must not have happened to the cart while it was decided.

    An order or a change just before a decision that sends nothing leaves it as true as one just after it, so that is
    no condition, and needs no message to carry it. What is compared as an experiment, and a step that only waits, is
    decided as strictly as an approval. The decisions about a cart are made one after another, as each is conditional on
    the one before: so the newest abandonment's close what earlier ones left open, and their timers are the last.
    """
    strict = any(
        one.outcome == "approved" or one.reason == WAITING or (one.assignment and one.assignment.eligible)
        for one in decisions
    )
    return changes_of(trigger_of(abandoned.event)) if strict else ()


def _superseded(at: Situation) -> Iterator[OfferDecided]:
    """The ends of earlier abandonments' open runs, because the cart was left again before they were decided."""
    for earlier in same_kind(at.history, at.abandoned.event):
        if earlier.sequence >= at.abandoned.sequence:
            continue
        before = msgspec.structs.replace(at, abandoned=earlier, scored=None)
        for one in _open_steps(before):
            yield moved_on(one, before)


def _open_steps(at: Situation) -> Iterator[DueStep]:
    """The steps of an abandonment that are held; where nothing was decided about it, the first ones of all journeys."""
    journeys, started = at.context.journeys, journeys_decided(at.history, at.abandoned.id)
    if not started:
        for run in sorted(journeys.started_by(at.abandoned.event, at.abandoned.region), key=lambda one: one.name):
            yield first_step(run, progress_of(at.history, at.abandoned.id, run.name))
    for name in started:
        progress, run = progress_of(at.history, at.abandoned.id, name), journeys.get(name) or stopped(name)
        for last in progress.held:
            step = step_at(run.journey, last.step, last.position)
            yield DueStep(run=run, name=last.step, position=last.position, step=step, last=last, progress=progress)


def _has_newer(history: History, abandoned: Started) -> bool:
    """Whether the cart was left again after this abandonment, or the trigger found it again."""
    return any(one.sequence > abandoned.sequence for one in same_kind(history, abandoned.event))


def _held_runs(history: History, abandonment_id: str, journeys: Sequence[LiveJourney]) -> list[PriorityClaim]:
    """The runs that wait for a moment that is allowed. One that waits for its next step keeps no contact for itself."""
    return [
        _claim(run, last.held_until)
        for run in journeys
        for last in progress_of(history, abandonment_id, run.name).held
        if last.held_until and last.reason != WAITING
    ]


def _claim(run: LiveJourney, until: datetime) -> PriorityClaim:
    journey = run.journey
    return PriorityClaim(
        journey=run.name, priority=journey.priority, until=until, contact_interval=journey.contact_interval
    )


def _contact(one: DueStep, decided: OfferDecided, cost: Money | None, now: datetime) -> Contact:
    return Contact(
        offer_id=decided.offer_id,
        at=now,
        journey=decided.journey,
        discount=cost,
        abandonment_id=decided.abandonment_id,
        experiment=one.step.allocation if one.step and decided.variant else "",
        variant=decided.variant,
    )


def _timer(decided: OfferDecided) -> Change:
    if decided.held_until is None:
        return Cancel(OfferDue, decided.run_id)
    due = OfferDue(
        run_id=decided.run_id,
        cart_id=decided.cart_id,
        journey=decided.journey,
        abandonment_id=decided.abandonment_id,
        attempt=decided.attempt + 1,
        step=decided.step,
        position=decided.position,
        trigger=decided.trigger,
    )
    return Timer(due, decided.held_until)


def _score(history: History, abandonment_id: str) -> CartScored | None:
    found = [one.event for one in history.of(CartScored) if one.event.abandonment_id == abandonment_id]
    return found[-1] if found else None
