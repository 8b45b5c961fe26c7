"""Quiet delivery: an offer that could not be sent for a while is not sent in the shopper's night instead.

A decision is made outside quiet hours, and is sent within the second. What is sent later, as a provider, a region or
this service was away, is held until the hours are over.
"""

from datetime import datetime, timedelta

from mesh import Received
from mesh.events.cart import CartUpdated
from mesh.events.offer import OfferDecided
from notifications.channels.reading import Reading
from notifications.journeys.live import LiveJourneys
from notifications.journeys.texts import quiet_hours
from notifications.quiet_hours import quiet_until, zone

LATE = timedelta(minutes=1)
"""What is sent so soon after it was decided was judged by its decision."""


def quiet_hours_end(
    decided: Received[OfferDecided], reading: Reading, journeys: LiveJourneys, region_zone: str, now: datetime
) -> datetime | None:
    """When the quiet hours are over (aware UTC) in which an offer would be sent late; None where it is not so."""
    live = journeys.get(decided.event.journey)
    hours = quiet_hours(live.journey.quiet) if live else None
    if live is None or hours is None or now - decided.stored < LATE:
        return None
    offsets = [one.event.utc_offset for one in reading.history.of(CartUpdated) if one.event.utc_offset is not None]
    offset = offsets[-1] if offsets else None
    return quiet_until(now, zone(reading.profile.time_zone, offset, live.journey.time_zone, region_zone), hours)
