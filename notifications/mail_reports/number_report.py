"""Number report: what a provider of text messages says of a telephone number, and what becomes of it."""

import msgspec

from mesh import Mesh
from mesh.errors import Conflict, Unavailable
from mesh.events.address import AddressSuppressed
from mesh.profiles import phone_digest
from notifications.suppressions import STOPPED, standing_of

READS = 10
OWNER = "owner"


class NumberReport(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is to be sent to a number (E.164) any more, or may be again because its owner answered START."""

    phone: str
    suppressed: bool
    reason: str
    by: str


async def record_number(report: NumberReport, mesh: Mesh) -> bool:
    """Store what is new; whether anything was. START lifts what STOP did, and nothing else. Raises Unavailable."""
    digest = phone_digest(report.phone)
    for _ in range(READS):
        standing = await standing_of(digest, mesh)
        stopped = standing.reason == STOPPED
        covered = standing.reason is not None and (stopped or report.reason != STOPPED)
        if covered if report.suppressed else not stopped:
            return False
        event = AddressSuppressed(address=digest, suppressed=report.suppressed, reason=report.reason, by=report.by)
        try:
            await mesh.publish(event, standing.condition)
        except Conflict:
            continue
        return True
    raise Unavailable("others report the same number all the time")
