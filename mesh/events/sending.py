"""Sending to a recipient's domain: paused where too much comes back, and resumed by a person."""

from mesh.event import Event, event


@event(key="place")
class SendingPaused(Event):
    """Offers to a domain are held in this region because too much came back, or (`paused` false) go out again.

    `place` is the domain as a key. The counts are those of the last days that led to it: mails that were sent, and of
    them bounced for good and complained about. `by` is the service or account that says so.
    """

    place: str
    domain: str
    paused: bool
    reason: str
    by: str
    sent: int = 0
    bounced: int = 0
    complained: int = 0
