"""Judgement: facts and a journey in, a verdict out. Pure, so that every decision can be explained and repeated."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from mesh.channels import CHANNELS, ChannelName
from mesh.events.offer import Assignment, Check
from notifications.experiment import Lot, draw
from notifications.facts import Facts
from notifications.journeys import Journey, amounts, quiet_hours
from notifications.margin import Worth, depths, weigh
from notifications.quiet import quiet_until, zone

SHORTEST_HOLD, LONGEST_HOLD = timedelta(seconds=2), timedelta(minutes=1)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an offer. `reason` is the first failed check's, in words; empty when approved.

    `held_until` (aware UTC) is set exactly when held; `channels` and `discount_percent` matter when approved.
    `assignment` is what the standing experiment gave the cart.
    """

    outcome: Literal["approved", "held", "dropped"]
    reason: str
    checks: tuple[Check, ...]
    held_until: datetime | None = None
    channels: tuple[ChannelName, ...] = ()
    discount_percent: int = 0
    assignment: Assignment | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A check with what its failure means: dropped with `reason`, or held until `until`.

    `of_arm`: it is about what the experiment or the margin gave, not about whether an offer may be made.
    """

    check: Check
    reason: str = ""
    until: datetime | None = None
    of_arm: bool = False


def judge(facts: Facts, journey: Journey, now: datetime) -> Verdict:
    """Every check with its value; approved only if all passed, dropped if one failed for good, else held.

    `now` is aware UTC. Deterministic: the same arguments give the same verdict. Who gets no offer by lot or
    because none pays is judged at the same moment as if there were one, held for the night too: otherwise
    those with and without an offer could not be compared.
    """
    worth = weigh(facts, journey)
    lot = draw(facts.person, journey, depths=depths(facts, journey), advised=worth.percent)
    found = tuple(_findings(facts, journey, now, lot, worth))
    checks = tuple(finding.check for finding in found)
    failed = [finding for finding in found if not finding.check.passed]
    eligible = all(finding.of_arm for finding in failed)
    assignment = Assignment(arm=lot.arm, probability=lot.probability, eligible=eligible, withheld=lot.withheld)
    final = [finding for finding in failed if finding.until is None and not finding.of_arm]
    holds = [finding for finding in failed if finding.until is not None]
    if holds and not final:
        last = max(holds, key=lambda finding: finding.until or now)
        return Verdict(outcome="held", reason=last.reason, checks=checks, held_until=last.until, assignment=assignment)
    if failed:
        reason = (final or failed)[0].reason
        return Verdict(outcome="dropped", reason=reason, checks=checks, assignment=assignment)
    return Verdict(
        outcome="approved",
        reason="",
        checks=checks,
        channels=tuple(channel for channel in journey.channels if _is_open(channel, facts, journey)),
        discount_percent=lot.percent or 0,
        assignment=assignment,
    )


def _findings(facts: Facts, journey: Journey, now: datetime, lot: Lot, worth: Worth) -> Iterator[Finding]:
    percent = lot.percent or 0
    yield _finding("cart", facts.cart == "left", facts.cart_detail, _moved(facts))
    late = now - facts.due
    yield _finding("in time", late <= journey.expires, f"{late.total_seconds():.1f} s after it was due", "too late")
    yield _value(facts, journey)
    yield from _reachable(journey.channels[0], facts, journey)
    yield from _given(journey, lot, worth)
    yield _cap(facts, journey, now)
    yield _finding("discount", percent <= journey.max_discount_percent, f"{percent} %", "discount too high")
    yield _quiet(facts, journey, now)
    yield _fresh(facts, journey, now)


def _moved(facts: Facts) -> str:
    return "bought" if facts.cart == "bought" else "cart moved on"


def _value(facts: Facts, journey: Journey) -> Finding:
    least = amounts(journey.minimum_value).get(facts.total.currency)
    shown = f"{facts.total.decimal()} {facts.total.currency}"
    if least is None:
        return _finding("value", facts.total.amount > 0, shown, "nothing of value in the cart")
    passed = facts.total.amount >= max(least.amount, 1)
    return _finding("value", passed, f"{shown} of at least {least.decimal()}", "cart below the minimum value")


def _reachable(channel: ChannelName, facts: Facts, journey: Journey) -> Iterator[Finding]:
    entry = CHANNELS.require(channel)
    if entry.address is not None:
        known = entry.address == "email" and facts.email_known
        yield _finding(
            "identified",
            known,
            f"{entry.title} known" if known else f"no {entry.title} known",
            f"no {entry.title} address",
        )
    asked = facts.consent.get(channel)
    passed = (journey.assume_consent or not entry.asks) if asked is None else asked
    if asked is None:
        value = f"{channel}: never asked, {'assumed' if passed else 'not assumed'}"
    else:
        value = f"{channel}: {'granted' if asked else 'refused'}"
    yield _finding("consent", passed, value, "no consent")
    gone = channel in facts.unsubscribed
    yield _finding("subscribed", not gone, f"{channel}: {'unsubscribed' if gone else 'yes'}", "unsubscribed")


def _is_open(channel: ChannelName, facts: Facts, journey: Journey) -> bool:
    return all(finding.check.passed for finding in _reachable(channel, facts, journey))


def _given(journey: Journey, lot: Lot, worth: Worth) -> Iterator[Finding]:
    """What the cart was given and why; no offer is a failed check."""
    inside = lot.how == "held out"
    value = f"{'in' if inside else 'not in'} the {journey.holdout:.0%} held out"
    yield _of_arm("holdout", not inside, value, "holdout")
    if lot.how == "drawn":
        given = "no offer" if lot.percent is None else f"{lot.percent} %"
        value = f"{given}, drawn by lot among {lot.arms} as for {journey.explore:.0%} of shoppers"
        yield _of_arm("experiment", lot.percent is not None, value, "no offer by lot")
    elif journey.explore:
        yield _of_arm("experiment", True, f"not among the {journey.explore:.0%} whose offer is drawn by lot", "")
    yield _of_arm("worth it", lot.how == "drawn" or worth.percent is not None, worth.words, "not worth it")


def _of_arm(name: str, passed: bool, value: str, reason: str) -> Finding:
    return Finding(check=Check(name=name, passed=passed, value=value), reason=reason, of_arm=True)


def _cap(facts: Facts, journey: Journey, now: datetime) -> Finding:
    count = sum(contact.at > now - journey.cap_window for contact in facts.contacts)
    value = f"{count} of {journey.cap} in {_words(journey.cap_window)}"
    return _finding("frequency cap", count < journey.cap, value, "frequency cap")


def _quiet(facts: Facts, journey: Journey, now: datetime) -> Finding:
    hours, there = quiet_hours(journey.quiet), zone(facts.time_zone, journey.time_zone)
    if hours is None:
        return _finding("quiet hours", True, "none", "")
    if there is None:
        return _finding("quiet hours", True, "time zone unknown", "")
    until = quiet_until(now, there, hours)
    value = f"{now.astimezone(there):%H:%M} in {there.key}, quiet {journey.quiet}"
    return _finding("quiet hours", until is None, value, "quiet hours", until)


def _fresh(facts: Facts, journey: Journey, now: datetime) -> Finding:
    if not facts.regions:
        return _finding("freshness", True, "active in this region only", "")
    stale = [region for region in facts.regions if _is_stale(facts.staleness.get(region), journey)]
    if not stale:
        return _finding("freshness", True, f"also active in {', '.join(facts.regions)}, heard", "")
    value = f"also active in {', '.join(stale)}, not heard for {journey.stale_after.total_seconds():g} s"
    waited = now - facts.due
    if waited >= journey.stale_hold:
        return _finding("freshness", False, f"{value}, held for {_words(journey.stale_hold)}", "region not heard")
    pause = min(max(waited, SHORTEST_HOLD), LONGEST_HOLD)
    return _finding("freshness", False, value, "region not heard", now + pause)


def _is_stale(age: timedelta | None, journey: Journey) -> bool:
    return age is None or age > journey.stale_after


def _finding(name: str, passed: bool, value: str, reason: str, until: datetime | None = None) -> Finding:
    return Finding(check=Check(name=name, passed=bool(passed), value=value), reason=reason, until=until)


def _words(span: timedelta) -> str:
    seconds = span.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
