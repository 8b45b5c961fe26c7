"""Evaluation: a pure function from what is known and a journey to an outcome, so that decisions can be repeated."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from mesh.channels import ChannelName
from mesh.events.offer import Assignment, Check
from notifications.audience_check import audience_result
from notifications.channel_checks import channel_results, open_channels
from notifications.check_result import SHORTEST_HOLD, CheckResult, result, words
from notifications.contact_checks import contact_results
from notifications.decision_input import DecisionInput
from notifications.experiment import Allocation, allocate
from notifications.journeys import Journey
from notifications.journeys.texts import amounts, quiet_hours
from notifications.margin import DiscountChoice, allowed_discounts, choose_discount
from notifications.quiet_hours import quiet_until, zone

LONGEST_HOLD = timedelta(minutes=1)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an offer. `reason` is the first failed check's, as text; empty when approved.

    `held_until` (aware UTC) is set exactly when held; `channels` and `discount_percent` matter when approved.
    `assignment` is the arm that the continuous experiment gave the cart.
    """

    outcome: Literal["approved", "held", "dropped"]
    reason: str
    checks: tuple[Check, ...]
    held_until: datetime | None = None
    channels: tuple[ChannelName, ...] = ()
    discount_percent: int = 0
    assignment: Assignment | None = None


def evaluate(
    inputs: DecisionInput,
    journey: Journey,
    now: datetime,
    *,
    of_step: Sequence[CheckResult] = (),
    belongs: bool | None = None,
) -> Evaluation:
    """Every check with its value; approved only if all passed, dropped if one failed for good, else held.

    The checks of one channel close that channel alone: the offer goes by those that are open, and is dropped for the
    first reason where none is. `of_step` are the checks of the run's step, which come right after that of the cart.

    `belongs`: whether the cart belongs to the journey's audience, where that is known already; None: it is found out.

    `now` is aware UTC. Deterministic: the same arguments give the same evaluation. Who gets no offer at random or
    because none pays is evaluated at the same moment as if there were one, held for the night too: otherwise
    those with and without an offer could not be compared.
    """
    choice = choose_discount(inputs, journey)
    allocation = allocate(inputs.person, journey, depths=allowed_discounts(inputs, journey), advised=choice.percent)
    audience = audience_result(inputs, journey, now, belongs=belongs)
    found = tuple(_results(inputs, journey, now, allocation, choice, audience, of_step))
    checks = tuple(one.check for one in found)
    failed = [one for one in found if one.stands_against]
    eligible = all(one.about_arm for one in failed)
    assignment = Assignment(
        arm=allocation.arm, probability=allocation.probability, eligible=eligible, withheld=allocation.withheld
    )
    final = [one for one in failed if one.until is None and not one.about_arm]
    holds = [one for one in failed if one.until is not None]
    if holds and not final:
        last = max(holds, key=lambda one: one.until or now)
        return Evaluation(
            outcome="held", reason=last.reason, checks=checks, held_until=last.until, assignment=assignment
        )
    if failed:
        reason = (final or failed)[0].reason
        return Evaluation(outcome="dropped", reason=reason, checks=checks, assignment=assignment)
    return Evaluation(
        outcome="approved",
        reason="",
        checks=checks,
        channels=open_channels(inputs, journey),
        discount_percent=allocation.percent or 0,
        assignment=assignment,
    )


def _results(
    inputs: DecisionInput,
    journey: Journey,
    now: datetime,
    allocation: Allocation,
    choice: DiscountChoice,
    audience: CheckResult,
    of_step: Sequence[CheckResult],
) -> Iterator[CheckResult]:
    percent = allocation.percent or 0
    yield result("cart", inputs.cart == "left", inputs.cart_detail, _moved(inputs))
    yield from of_step
    late = now - inputs.due
    yield result("in time", late <= journey.expires, f"{late.total_seconds():.1f} s after it was due", "too late")
    yield _value(inputs, journey)
    yield audience
    yield from channel_results(inputs, journey)
    yield from _arm_results(journey, allocation, choice)
    yield from contact_results(inputs, journey, now)
    if journey.discount_habit or journey.budget_customer:
        yield result("discount habit", True, inputs.habit or "few enough discounts so far")
    yield result("discount", percent <= journey.max_discount_percent, f"{percent} %", "discount too high")
    yield _quiet(inputs, journey, now)
    yield _fresh(inputs, journey, now)


def _moved(inputs: DecisionInput) -> str:
    return "bought" if inputs.cart == "bought" else "cart moved on"


def _value(inputs: DecisionInput, journey: Journey) -> CheckResult:
    least = amounts(journey.minimum_value).get(inputs.total.currency)
    shown = f"{inputs.total.decimal()} {inputs.total.currency}"
    if least is None:
        return result("value", inputs.total.amount > 0, shown, "nothing of value in the cart")
    passed = inputs.total.amount >= max(least.amount, 1)
    return result("value", passed, f"{shown} of at least {least.decimal()}", "cart below the minimum value")


def _arm_results(journey: Journey, allocation: Allocation, choice: DiscountChoice) -> Iterator[CheckResult]:
    """The arm that the cart was given and why; no offer is a failed check."""
    inside = allocation.method == "held out"
    value = f"{'in' if inside else 'not in'} the {journey.holdout:.0%} held out"
    yield _arm_result("holdout", not inside, value, "holdout")
    if allocation.method == "random":
        given = "no offer" if allocation.percent is None else f"{allocation.percent} %"
        value = f"{given}, drawn at random among {allocation.arms} as for {journey.explore:.0%} of shoppers"
        yield _arm_result("experiment", allocation.percent is not None, value, "no offer at random")
    elif journey.explore:
        yield _arm_result("experiment", True, f"not among the {journey.explore:.0%} whose offer is drawn at random", "")
    yield _arm_result(
        "worth it", allocation.method == "random" or choice.percent is not None, choice.explanation, "not worth it"
    )


def _arm_result(name: str, passed: bool, value: str, reason: str) -> CheckResult:
    return CheckResult(check=Check(name=name, passed=passed, value=value), reason=reason, about_arm=True)


def _quiet(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    hours = quiet_hours(journey.quiet)
    if hours is None:
        return result("quiet hours", True, "none", "")
    there = zone(inputs.time_zone, inputs.utc_offset, journey.time_zone, inputs.region_zone)
    until = quiet_until(now, there, hours)
    value = f"{now.astimezone(there):%H:%M} in {there}, quiet {journey.quiet}"
    return result("quiet hours", until is None, value, "quiet hours", until)


def _fresh(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    if not inputs.regions:
        return result("freshness", True, "active in this region only", "")
    stale = [region for region in inputs.regions if _is_stale(inputs.staleness.get(region), journey)]
    why = "this region was away, others are" if inputs.away else "also active in"
    if not stale:
        return result("freshness", True, f"{why} {', '.join(inputs.regions)}, up to date", "")
    value = f"{why} {', '.join(stale)}, no heartbeat for {journey.stale_after.total_seconds():g} s"
    waited = now - inputs.due
    if waited >= journey.stale_hold:
        return result("freshness", False, f"{value}, held for {words(journey.stale_hold)}", "region out of date")
    pause = min(max(waited, SHORTEST_HOLD), LONGEST_HOLD)
    return result("freshness", False, value, "region out of date", now + pause)


def _is_stale(age: timedelta | None, journey: Journey) -> bool:
    return age is None or age > journey.stale_after
