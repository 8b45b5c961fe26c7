"""Pausing: where too much comes back from a domain, offers to it are held until a person lets them go on."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import msgspec

from mesh import Mesh, Received, Unchanged
from mesh.events.sending import SendingPaused
from mesh.observability.logs import log
from mesh.publish import Change
from notifications.exact_sums import Figures
from notifications.sender_rates import DAYS, read_rates
from notifications.sending_pauses import place_of


class PauseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Offers to a domain are held where more than these shares of the last 7 days' mails came back.

    Of fewer than `pause_from` mails nothing is concluded. Mail providers block senders from about 5 % of bounces and
    0.3 % of complaints on (https://support.google.com/a/answer/81126).
    """

    pause_bounces: float = 0.05
    pause_complaints: float = 0.003
    pause_from: int = 100


def too_much(counts: Figures, settings: PauseSettings) -> str:
    """Why sending to a domain is to be paused; empty where it is not."""
    sent = counts.get("sent", 0)
    if sent < settings.pause_from:
        return ""
    bounced, complained = counts.get("hard", 0), counts.get("complained", 0)
    if bounced > settings.pause_bounces * sent:
        return f"{bounced} of {sent} mails bounced, more than {settings.pause_bounces:.1%}"
    if complained > settings.pause_complaints * sent:
        return f"{complained} of {sent} mails were reported as spam, more than {settings.pause_complaints:.1%}"
    return ""


async def pauses_due(mesh: Mesh, settings: PauseSettings, now: datetime) -> list[list[Change]]:
    """The pauses that are due, each with its condition. Raises Unavailable.

    A domain that a person let go on is judged by the days after that one: what led to the pause counts no more.
    """
    found = []
    for domain, counts in (await read_rates(mesh, today=now.date())).items():
        if not too_much(counts, settings):
            continue
        last = await mesh.last(SendingPaused, place_of(domain))
        if last is not None:
            since = _days_since(last, now.date())
            if last.event.paused or since <= 0:
                continue
            counts = (await read_rates(mesh, today=now.date(), days=min(since, DAYS))).get(domain, {})  # noqa: PLW2901
        if reason := too_much(counts, settings):
            found.append(list(_paused(domain, counts, reason, last)))
    return found


def _paused(domain: str, counts: Figures, reason: str, last: Received[SendingPaused] | None) -> Iterator[Change]:
    log.error("sending to a domain is paused: let it go on at the console's page Sender", domain=domain, reason=reason)
    event = SendingPaused(
        place=place_of(domain),
        domain=domain,
        paused=True,
        reason=reason,
        by="mail-reports",
        sent=counts.get("sent", 0),
        bounced=counts.get("hard", 0),
        complained=counts.get("complained", 0),
    )
    yield event
    yield Unchanged(SendingPaused, event.place, last.sequence if last else 0)


def _days_since(resumed: Received[SendingPaused], today: date) -> int:
    """How many whole days there were after the one on which it was resumed, today among them."""
    return (today - resumed.stored.date()) // timedelta(days=1)
