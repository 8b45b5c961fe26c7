"""Contact checks: how many offers reach a shopper within a window, and how much time lies between two of them."""

from collections.abc import Sequence
from datetime import datetime

from notifications.check_result import SHORTEST_HOLD, CheckResult, result, words
from notifications.decision_input import DecisionInput, PriorityClaim
from notifications.journeys import Journey

FIRST = "journey of higher priority"
INTERVAL = "time between contacts"


def contact_results(inputs: DecisionInput, journey: Journey, now: datetime) -> tuple[CheckResult, CheckResult]:
    """The frequency cap and the least time between two contacts, of all of the shopper's names together."""
    return _cap(inputs, journey, now), _interval(inputs, journey, now)


def _cap(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    count = sum(contact.at > now - journey.cap_window for contact in inputs.contacts)
    value = f"{count} of {journey.cap} in {words(journey.cap_window)}"
    if count < journey.cap <= count + len(inputs.before):
        value += f", the rest kept for {_names(inputs.before)}"
        return result("frequency cap", False, value, FIRST, _after(inputs.before, now))
    return result("frequency cap", count < journey.cap, value, "frequency cap")


def _interval(inputs: DecisionInput, journey: Journey, now: datetime) -> CheckResult:
    """Held until the time is over; dropped where the offer would have expired by then."""
    least, last = journey.contact_interval, max((contact.at for contact in inputs.contacts), default=None)
    wanted = f"at least {words(least)}" if least else "any time will do"
    if last is not None and now - last < least:
        until = last + least
        value = f"{words(now - last)} since the last contact, {wanted}"
        expired = until - inputs.due > journey.expires
        return result(
            INTERVAL, False, f"{value}, too late then" if expired else value, INTERVAL, _unless(expired, until)
        )
    before = [one for one in inputs.before if least or one.contact_interval]
    if before:
        return result(INTERVAL, False, f"{wanted}, and {_names(before)} comes first", FIRST, _after(before, now))
    since = "no contact so far" if last is None else f"{words(now - last)} since the last contact"
    return result(INTERVAL, True, f"{since}, {wanted}")


def _unless(expired: bool, until: datetime) -> datetime | None:
    return None if expired else until


def _after(before: Sequence[PriorityClaim], now: datetime) -> datetime:
    return max(now, *(one.until for one in before)) + SHORTEST_HOLD


def _names(before: Sequence[PriorityClaim]) -> str:
    return ", ".join(one.journey for one in before)
