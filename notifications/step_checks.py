"""Step checks: whether a step is due, whether its condition holds, and whether its run goes on at all."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from mesh.events.contact import Contact
from notifications.check_result import CheckResult, result, words
from notifications.decision_input import DecisionInput
from notifications.journeys import Journey
from notifications.journeys.steps import Condition, Step, Variant
from notifications.journeys.texts import reentry_period
from notifications.progress import WAITING
from notifications.variants import shares


def delay_result(
    due: datetime, now: datetime, after: timedelta, position: int, begun: str = "the cart fell due"
) -> CheckResult:
    """Held until the step is due; `begun` is from when the first step counts."""
    what = "the step before was sent" if position > 1 else begun
    value = f"{words(after)} after {what}" if after else f"as soon as {what}"
    return result("delay", now >= due, value, WAITING, due)


def variant_result(step: Step, variant: Variant) -> CheckResult:
    """Which variant was given, and how many get which."""
    parts = ", ".join(f"{name} {share:.3g} %" for name, share in _percents(step).items())
    how = f"winner of {step.allocation}" if step.winner else f"{step.allocation}: {parts}"
    return result("variant", True, f"{variant.name} ({how})")


def condition_result(condition: Condition, holds: bool) -> CheckResult:
    """Skipped where what the step asks of earlier ones is not true."""
    value = f"only if {condition.words}: {'so it is' if holds else 'it is not so'}"
    return result("condition", holds, value, "step condition")


def run_results(
    inputs: DecisionInput, journey: Journey, position: int, abandonment_id: str, now: datetime
) -> Iterator[CheckResult]:
    """Whether the run goes on: nobody has unsubscribed since, and no other run was begun too short a time ago."""
    if position > 1:
        gone = sorted(set(journey.channels) & inputs.unsubscribed)
        value = f"unsubscribed from {', '.join(gone)}" if gone else "yes"
        yield result("still subscribed", not gone, value, "unsubscribed")
        return
    period = reentry_period(journey.reentry)
    if period is None:
        return
    last = max(_other_runs(inputs.contacts, journey.name, abandonment_id), default=None)
    passed = last is None or now - last >= period
    since = "no other run so far" if last is None else f"{words(now - last)} since the last run"
    yield result("re-entry", passed, f"{since}, once per {words(period)}", "re-entry")


def _other_runs(contacts: Iterable[Contact], journey: str, abandonment_id: str) -> list[datetime]:
    return [one.at for one in contacts if one.journey == journey and one.abandonment_id != abandonment_id]


def _percents(step: Step) -> dict[str, float]:
    return {name: 100 * share for name, share in shares(step).items()}
