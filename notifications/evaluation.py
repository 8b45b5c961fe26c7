"""Evaluation: a pure function from what is known and a journey to an outcome, so that decisions can be repeated."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from mesh.channels import CHANNELS, ChannelName
from mesh.events.offer import Assignment, Check
from notifications.decision_input import DecisionInput
from notifications.experiment import Allocation, allocate
from notifications.journeys import Journey, amounts, quiet_hours
from notifications.margin import DiscountChoice, allowed_discounts, choose_discount
from notifications.quiet_hours import quiet_until, zone

SHORTEST_HOLD, LONGEST_HOLD = timedelta(seconds=2), timedelta(minutes=1)


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


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """A check with what its failure means: dropped with `reason`, or held until `until`.

    `about_arm`: it is about what the experiment or the margin gave, not about whether an offer may be made.
    """

    check: Check
    reason: str = ""
    until: datetime | None = None
    about_arm: bool = False


def evaluate(inputs: DecisionInput, journey: Journey, now: datetime) -> Evaluation:
    """Every check with its value; approved only if all passed, dropped if one failed for good, else held.

    `now` is aware UTC. Deterministic: the same arguments give the same evaluation. Who gets no offer at random or
    because none pays is evaluated at the same moment as if there were one, held for the night too: otherwise
    those with and without an offer could not be compared.
    """
    choice = choose_discount(inputs, journey)
    allocation = allocate(inputs.person, journey, depths=allowed_discounts(inputs, journey), advised=choice.percent)
    found = tuple(_results(inputs, journey, now, allocation, choice))
    checks = tuple(result.check for result in found)
    failed = [result for result in found if not result.check.passed]
    eligible = all(result.about_arm for result in failed)
    assignment = Assignment(
        arm=allocation.arm, probability=allocation.probability, eligible=eligible, withheld=allocation.withheld
    )
    final = [result for result in failed if result.until is None and not result.about_arm]
    holds = [result for result in failed if result.until is not None]
    if holds and not final:
        last = max(holds, key=lambda result: result.until or now)
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
        channels=tuple(channel for channel in journey.channels if _is_open(channel, inputs, journey)),
        discount_percent=allocation.percent or 0,
        assignment=assignment,
    )


def _results(
    inputs: DecisionInput, journey: Journey, now: datetime, allocation: Allocation, choice: DiscountChoice
) -> Iterator[CheckResult]:
    percent = allocation.percent or 0
    yield _result("cart", inputs.cart == "left", inputs.cart_detail, _moved(inputs))
    late = now - inputs.due
    yield _result("in time", late <= journey.expires, f"{late.total_seconds():.1f} s after it was due", "too late")
    yield _value(inputs, journey)
    yield from _reachable(journey.channels[0], inputs, journey)
    yield from _arm_results(journey, allocation, choice)
    yield _cap(inputs, journey, now)
    yield _result("discount", percent <= journey.max_discount_percent, f"{percent} %", "discount too high")
    yield _quiet(inputs, journey, now)
    yield _fresh(inputs, journey, now)


def _moved(inputs: DecisionInput) -> str:
    return "bought" if inputs.cart == "bought" else "cart moved on"


def _value(inputs: DecisionInput, journey: Journey) -> CheckResult:
    least = amounts(journey.minimum_value).get(inputs.total.currency)
    shown = f"{inputs.total.decimal()} {inputs.total.currency}"
    if least is None:
        return _result("value", inputs.total.amount > 0, shown, "nothing of value in the cart")
    passed = inputs.total.amount >= max(least.amount, 1)
    return _result("value", passed, f"{shown} of at least {least.decimal()}", "cart below the minimum value")


def _reachable(channel: ChannelName, inputs: DecisionInput, journey: Journey) -> Iterator[CheckResult]:
    entry = CHANNELS.require(channel)
    if entry.address is not None:
        known = entry.address == "email" and inputs.email_known
        yield _result(
            "identified",
            known,
            f"{entry.title} known" if known else f"no {entry.title} known",
            f"no {entry.title} address",
        )
    if entry.address is not None and journey.double_opt_in:
        value = "confirmed" if inputs.email_confirmed else "unconfirmed"
        yield _result("confirmed", inputs.email_confirmed, value, "address not confirmed")
    asked = inputs.consent.get(channel)
    passed = (journey.assume_consent or not entry.asks) if asked is None else asked
    if asked is None:
        value = f"{channel}: never asked, {'assumed' if passed else 'not assumed'}"
    else:
        value = f"{channel}: {'granted' if asked else 'refused'}"
    yield _result("consent", passed, value, "no consent")
    gone = channel in inputs.unsubscribed
    yield _result("subscribed", not gone, f"{channel}: {'unsubscribed' if gone else 'yes'}", "unsubscribed")


def _is_open(channel: ChannelName, inputs: DecisionInput, journey: Journey) -> bool:
    return all(result.check.passed for result in _reachable(channel, inputs, journey))


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


def _cap(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    count = sum(contact.at > now - journey.cap_window for contact in inputs.contacts)
    value = f"{count} of {journey.cap} in {_words(journey.cap_window)}"
    if count < journey.cap <= count + len(inputs.before):
        value += f", the rest kept for {', '.join(one.journey for one in inputs.before)}"
        until = max(now, *(one.until for one in inputs.before)) + SHORTEST_HOLD
        return _result("frequency cap", False, value, "journey of higher priority", until)
    return _result("frequency cap", count < journey.cap, value, "frequency cap")


def _quiet(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    hours = quiet_hours(journey.quiet)
    if hours is None:
        return _result("quiet hours", True, "none", "")
    there = zone(inputs.time_zone, inputs.utc_offset, journey.time_zone, inputs.region_zone)
    until = quiet_until(now, there, hours)
    value = f"{now.astimezone(there):%H:%M} in {there}, quiet {journey.quiet}"
    return _result("quiet hours", until is None, value, "quiet hours", until)


def _fresh(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    if not inputs.regions:
        return _result("freshness", True, "active in this region only", "")
    stale = [region for region in inputs.regions if _is_stale(inputs.staleness.get(region), journey)]
    if not stale:
        return _result("freshness", True, f"also active in {', '.join(inputs.regions)}, up to date", "")
    value = f"also active in {', '.join(stale)}, no heartbeat for {journey.stale_after.total_seconds():g} s"
    waited = now - inputs.due
    if waited >= journey.stale_hold:
        return _result("freshness", False, f"{value}, held for {_words(journey.stale_hold)}", "region out of date")
    pause = min(max(waited, SHORTEST_HOLD), LONGEST_HOLD)
    return _result("freshness", False, value, "region out of date", now + pause)


def _is_stale(age: timedelta | None, journey: Journey) -> bool:
    return age is None or age > journey.stale_after


def _result(name: str, passed: bool, value: str, reason: str, until: datetime | None = None) -> CheckResult:
    return CheckResult(check=Check(name=name, passed=bool(passed), value=value), reason=reason, until=until)


def _words(span: timedelta) -> str:
    seconds = span.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
