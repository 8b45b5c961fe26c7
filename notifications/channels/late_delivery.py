"""Late delivery: an offer that could not be sent for a while waits until its region has heard of the others' purchases.

While a region or its mail server is away, its shoppers are led to other regions and buy there. Once it is back it could
send before it has received those purchases.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from mesh import Mesh, Received
from mesh.events.offer import OfferDecided
from notifications.channels.delivery_state import DeliveryState
from notifications.channels.reading import Reading

LATE = timedelta(seconds=10)
"""An offer that is sent so much later than it was decided, or deferred to, is sent after something had been away."""
STALE_AFTER = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=10)
"""How long other regions are waited for. Who is known in one of them gets nothing then; others get their offer."""

Ages = Mapping[str, timedelta | None]


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Purchases of `regions` may be missing here. `again_after`: when to look again; None: it has lasted too long."""

    regions: tuple[str, ...]
    again_after: timedelta | None

    @property
    def words(self) -> str:
        """What is said of it."""
        return f"nothing was heard of {', '.join(self.regions)} for {STALE_AFTER.total_seconds():g} s"


async def ages_where_late(decided: Received[OfferDecided], mesh: Mesh, now: datetime) -> Ages:
    """How old what is known of other regions is; empty for an offer that is sent soon after it was decided.

    It is read before the shopper's purchases are: what was up to date then, these are complete for.
    """
    return await mesh.staleness() if mesh.others and now - decided.stored > LATE else {}


def wait_for_others(
    decided: Received[OfferDecided], state: DeliveryState, reading: Reading, ages: Ages, now: datetime
) -> Wait | None:
    """What keeps an offer from being sent at `now` (aware UTC); None where it is not late, or all were heard."""
    waited = now - max(decided.stored, state.until or decided.stored)
    known = set(reading.regions) & set(ages)
    regions = set(ages) if waited > LATE else known
    stale = tuple(sorted(one for one in regions if (age := ages[one]) is None or age > STALE_AFTER))
    if not stale:
        return None
    if waited > LONGEST_WAIT:
        return Wait(regions=stale, again_after=None) if known & set(stale) else None
    return Wait(regions=stale, again_after=min(max(waited / 8, timedelta(seconds=1)), timedelta(minutes=1)))
