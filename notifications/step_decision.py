"""Step decision: what one step of a run comes to, as an event, and the wait for the step after it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from mesh import Received
from mesh.envelope import derive_id
from mesh.events.cart import CartScored
from mesh.events.offer import Assignment, Check, OfferDecided, OfferTriggered
from mesh.history import History
from notifications import coupon
from notifications.check_result import CheckResult
from notifications.decision_context import DecisionContext
from notifications.decision_input import DecisionInput
from notifications.due_steps import DueStep
from notifications.evaluation import Evaluation, evaluate
from notifications.experiment import NONE
from notifications.journeys import Journey
from notifications.journeys.steps import Step, Variant, condition_of
from notifications.occasion import Started, prices_before, trigger_of
from notifications.progress import ENDING, REMOVED, STOPPED, WAITING, counted_from, happened, step_after
from notifications.promises.promise import Promise
from notifications.run import run_id
from notifications.step_checks import condition_result, delay_result, run_results, variant_result
from notifications.variants import settings_of, shares, variant_of

LEAST_SLACK, MOST_SLACK = timedelta(milliseconds=50), timedelta(minutes=1)
"""How much earlier a step may come: a hundredth of its delay within these bounds.

Its timer is set when the step before is decided, and is seldom worth another decision because of the seconds that a
mail was under way; a decision is also stored a moment after it was made.
"""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What all steps of one moment are decided with.

    `clicks` are those that other regions heard of, `met` the journeys in force whose audience the cart belongs to.
    """

    abandoned: Started
    history: History
    scored: CartScored | None
    context: DecisionContext
    now: datetime
    clicks: tuple[Received, ...] = ()
    met: frozenset[str] = frozenset()


def offer_id(journey: str, abandonment_id: str, step: str = "") -> str:
    """The id of a step's offer; the only step of a journey has no name."""
    return derive_id("offer", journey, abandonment_id, *([step] if step else []))


class EvaluatedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step's evaluation, and the settings and the variant that it was evaluated with."""

    evaluation: Evaluation
    journey: Journey
    variant: Variant | None = None
    due: datetime | None = None


def evaluate_step(one: DueStep, inputs: DecisionInput, at: Situation) -> EvaluatedStep:
    """Every check of the step with its value."""
    if not one.run.journey.is_on_in(at.abandoned.region):
        how = f"is off in {at.abandoned.region}" if one.run.journey.active else "was stopped"
        evaluation = _against("journey", f"{one.run.name} {how}", STOPPED)
        return EvaluatedStep(evaluation=evaluation, journey=one.run.journey)
    if one.step is None:
        value = f"{one.name or 'the only step'} is not in revision {one.run.revision}"
        return EvaluatedStep(evaluation=_against("step", value, REMOVED), journey=one.run.journey)
    before = one.last.variant if one.last else ""
    variant = variant_of(one.step, journey=one.run.name, person=inputs.person, before=before, contacts=inputs.contacts)
    journey, after = settings_of(one.run.journey, one.step, variant), _delay(one.step, variant)
    due = _counted_from(one, journey, at) + after
    named = [variant_result(one.step, variant)] if variant else []
    begun = "it was to be found" if isinstance(at.abandoned.event, OfferTriggered) else "the cart fell due"
    if due - at.now > max(LEAST_SLACK, min(after / 100, MOST_SLACK)) and inputs.cart == "left":
        waiting = _waiting(due, delay_result(due, at.now, after, one.position, begun), named)
        return EvaluatedStep(evaluation=waiting, journey=journey, variant=variant, due=due)
    delay = [delay_result(due, max(due, at.now), after, one.position, begun)] if after or one.position > 1 else []
    checks = (*named, *delay, *_of_run(one, one.step, journey, inputs, at))
    belongs = at.context.journeys.belongs(one.run, at.met)
    evaluation = evaluate(msgspec.structs.replace(inputs, due=due), journey, at.now, of_step=checks, belongs=belongs)
    return EvaluatedStep(evaluation=evaluation, journey=journey, variant=variant, due=due)


def wait_for_next(one: DueStep, decided: OfferDecided, inputs: DecisionInput, at: Situation) -> OfferDecided | None:
    """The decision that the next step waits until it is due; None where the run ends, or this step is still open."""
    if decided.outcome == "held" or decided.reason in ENDING:
        return None
    found = step_after(one.run.journey, one.name, one.position, one.progress.names | {one.name})
    if found is None:
        return None
    step, position = found
    following = DueStep(run=one.run, name=step.name, position=position, step=step, last=None, progress=one.progress)
    variant = variant_of(step, journey=one.run.name, person=inputs.person, contacts=inputs.contacts)
    after = _delay(step, variant)
    due = at.now + after
    named = [variant_result(step, variant)] if variant else []
    journey = settings_of(one.run.journey, step, variant)
    waiting = _waiting(due, delay_result(due, at.now, after, position), named)
    return step_event(following, EvaluatedStep(evaluation=waiting, journey=journey, variant=variant, due=due), at)


def moved_on(one: DueStep, at: Situation) -> OfferDecided:
    """The end of a step whose cart was left again before it was decided."""
    again = "found again later" if isinstance(at.abandoned.event, OfferTriggered) else "left again later"
    evaluation = _against("cart", again, "cart moved on")
    return step_event(one, EvaluatedStep(evaluation=evaluation, journey=one.run.journey), at)


def _of_run(one: DueStep, step: Step, journey: Journey, inputs: DecisionInput, at: Situation) -> Iterator[CheckResult]:
    condition = condition_of(step.when)
    if condition:
        holds = happened(condition, one.progress, (*at.history, *at.clicks))
        yield condition_result(condition, holds)
    yield from run_results(inputs, journey, one.position, at.abandoned.id, at.now)


def _counted_from(one: DueStep, journey: Journey, at: Situation) -> datetime:
    if one.position == 1:
        return at.abandoned.event.due
    before = one.progress.ended_last
    patience = before.time + journey.expires if before else at.now
    return counted_from(at.history, one.progress, at.now, patience)


def _delay(step: Step, variant: Variant | None) -> timedelta:
    return variant.after if variant and variant.after is not None else step.after


def _waiting(due: datetime, delay: CheckResult, named: list[CheckResult]) -> Evaluation:
    found = [*named, delay]
    # Also where it is due at once: the next step is decided by its timer, after this commit.
    checks = tuple(msgspec.structs.replace(one.check, passed=one.check.name != "delay") for one in found)
    return Evaluation(outcome="held", reason=WAITING, checks=checks, held_until=due)


def _against(name: str, value: str, reason: str) -> Evaluation:
    return Evaluation(outcome="dropped", reason=reason, checks=(Check(name=name, passed=False, value=value),))


def _assignment(one: DueStep, evaluation: Evaluation, variant: Variant | None) -> Assignment | None:
    """What is compared as an experiment on offers: that of a first step, as later ones depend on what it did.

    Where variants have discounts of their own, an arm was given with the chance of those that have the same one.
    """
    found = evaluation.assignment
    if found is None or one.position > 1:
        return None
    if one.step is None or variant is None or found.arm == NONE:
        return found
    own = one.step.discount_percent if variant.discount_percent is None else variant.discount_percent
    chance = sum(
        share
        for name, share in shares(one.step).items()
        if (other := one.step.variant(name))
        and own == (one.step.discount_percent if other.discount_percent is None else other.discount_percent)
    )
    return msgspec.structs.replace(found, probability=found.probability * (chance or 1.0))


def step_event(one: DueStep, found: EvaluatedStep, at: Situation, promised: Promise | None = None) -> OfferDecided:
    """The decision as an event; `promised` is what was made sure of for an approved offer."""
    evaluation = promised.evaluation if promised else found.evaluation
    discount = promised.discount if promised else None
    cart, scored, journey, variant = at.abandoned.event, at.scored, found.journey, found.variant
    name, approved = offer_id(one.run.name, at.abandoned.id, one.name), evaluation.outcome == "approved"
    code = promised.code if promised else None
    if discount and not code:
        code = coupon.code(name, at.context.secret, journey.coupon_prefix)
    fixed = discount is not None and discount.kind == "amount"
    return OfferDecided(
        cart_id=cart.cart_id,
        visitor_id=cart.visitor_id,
        offer_id=name,
        abandonment_id=at.abandoned.id,
        attempt=one.attempt,
        outcome=evaluation.outcome,
        reason=evaluation.reason,
        checks=evaluation.checks,
        journey=one.run.name,
        due=one.last.due if one.last else found.due or cart.due,
        run_id=run_id(one.run.name, cart.cart_id),
        journey_revision=one.run.revision,
        template_revision=at.context.templates.revision(journey.template),
        held_until=evaluation.held_until,
        channels=evaluation.channels,
        template=journey.template if approved else None,
        coupon=code,
        discount_percent=0 if fixed else evaluation.discount_percent,
        discount=discount,
        lines=cart.lines,
        recommended=scored.recommended if scored else getattr(cart, "recommended", ()),
        total=cart.total,
        model_version=scored.model_version if scored else None,
        propensity=scored.propensity if scored else None,
        assignment=_assignment(one, evaluation, variant),
        step=one.name,
        position=one.position,
        variant=variant.name if variant else one.last.variant if one.last else "",
        trigger=trigger_of(cart),
        prices_before=prices_before(cart),
    )
