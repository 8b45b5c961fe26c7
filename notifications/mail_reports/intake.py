"""Intake: a report becomes an event, once, and where it says so its address is suppressed in the same commit."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from mesh import Mesh, Unchanged
from mesh.errors import Conflict, Unavailable
from mesh.event import Event
from mesh.events.address import AddressSuppressed
from mesh.events.mail import MailBounced, MailComplained
from mesh.profiles import address_digest
from mesh.publish import Change
from notifications.channels.delivery_errors import reason_of
from notifications.mail_reports.report import MailReport
from notifications.sending_pauses import domain_of
from notifications.suppressions import COMPLAINT, HARD, SOFT, Standing, standing_of

READS = 20
LONGEST_TEXT = 300
MOST_SOFT = 50
Became = Literal["stored", "known already", "names no address"]


class BounceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An address is suppressed after `soft_bounces` that are not for good within `soft_bounce_window`."""

    soft_bounces: int = 5
    soft_bounce_window: timedelta = timedelta(days=30)


async def record(report: MailReport, mesh: Mesh, settings: BounceSettings) -> Became:
    """Store a report that is not known yet. Raises Unavailable."""
    digest = report.reference.address if report.reference else None
    if digest is None and report.address:
        digest = address_digest(report.address)
    if digest is None:
        return "names no address"
    for _ in range(READS):
        changes = await _changes(report, digest, mesh, settings)
        if not changes:
            return "known already"
        try:
            await mesh.publish(*changes)
        except Conflict:
            continue
        return "stored"
    raise Unavailable("others report the same address all the time")


async def _changes(report: MailReport, digest: str, mesh: Mesh, settings: BounceSettings) -> list[Change]:
    kind: type[MailBounced | MailComplained] = MailBounced if report.about == "bounce" else MailComplained
    last, earlier = await mesh.last(kind, digest), await mesh.all_of(kind, digest)
    if report.id in {one.event.report for one in (*earlier, *([last] if last else ()))}:
        return []
    standing = await standing_of(digest, mesh)
    event: Event
    if report.about == "complaint":
        event, reason = _complained(report, digest), COMPLAINT
    else:
        soft = last.event.soft if last and isinstance(last.event, MailBounced) else ()
        event = bounced = _bounced(report, digest, soft, settings)
        reason = HARD if bounced.hard else SOFT if len(bounced.soft) >= settings.soft_bounces else ""
    changes: list[Change] = [event, Unchanged(kind, digest, last.sequence if last else 0)]
    if reason and not _covered(standing, reason):
        changes += [
            AddressSuppressed(address=digest, suppressed=True, reason=reason, by="mail-reports"),
            standing.condition,
        ]
    return changes


def _covered(standing: Standing, reason: str) -> bool:
    """Whether the address is suppressed as strictly already: a complaint is lifted by fewer people than the rest."""
    return standing.reason is not None and (standing.reason == COMPLAINT or reason != COMPLAINT)


def _bounced(report: MailReport, digest: str, soft: tuple[datetime, ...], settings: BounceSettings) -> MailBounced:
    now = datetime.now(UTC)
    recent = tuple(at for at in soft if at > now - settings.soft_bounce_window)[-MOST_SOFT:]
    return MailBounced(
        address=digest,
        domain=_domain(report),
        hard=report.hard,
        source=report.source,
        report=report.id,
        status=report.status,
        reason=reason_of(report.reason)[:LONGEST_TEXT],
        soft=recent if report.hard else (*recent, now),
        mail=_mail(report),
    )


def _complained(report: MailReport, digest: str) -> MailComplained:
    return MailComplained(
        address=digest,
        domain=_domain(report),
        source=report.source,
        report=report.id,
        kind=report.kind,
        mail=_mail(report),
    )


def _domain(report: MailReport) -> str:
    return domain_of(report.address) if report.address else ""


def _mail(report: MailReport) -> str | None:
    return report.reference.id if report.reference else report.mail
