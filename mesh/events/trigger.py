"""Triggers: how far a region has looked in its log for what starts a journey besides a left cart."""

from datetime import datetime, timedelta

from mesh.event import Event, event


@event(key="journey")
class TriggerChecked(Event):
    """A region looked for what starts a journey, up to here; what was found was stored in the same commit.

    `on` is whether the journey is on here; once it is on again, nothing counts that happened meanwhile. `after` is how
    long nothing must have followed what happened; with another trigger or time it is begun anew. Until
    `sequence` is set, the next check reads what is stored from `since` on, and afterwards what is stored behind
    `sequence`. `until` is set while left carts are looked through for what is stored up to that sequence: those up to
    the sequence `scanned` were. Confirmed orders up to the sequence `orders`, since it was `begun`, were looked at for
    whether an offer of the journey won them. `found` is how many runs the commit started.
    """

    journey: str
    trigger: str
    since: datetime
    begun: datetime
    on: bool = True
    after: timedelta = timedelta(0)
    sequence: int = 0
    until: int = 0
    scanned: int = 0
    orders: int = 0
    found: int = 0
