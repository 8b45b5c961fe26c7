"""Webhooks: who outside gets which events. What is sent to them is in `delivery`."""

from datetime import datetime

from mesh.event import Event, event


@event(key="webhook_id")
class WebhookPublished(Event):
    """A revision of a webhook was published; it is in force in every region.

    `document` is the webhook, sealed: its URL may hold a token of the partner's. None: it was deleted.
    """

    webhook_id: str
    revision: int
    author: str
    document: str | None = None


@event(key="webhook_id")
class WebhookDisabled(Event):
    """A webhook was disabled because its endpoint failed for days, or answered that it is gone. Someone should look."""

    webhook_id: str
    name: str
    reason: str
    failing_since: datetime | None = None


@event(key="webhook_id")
class WebhookReplayRequested(Event):
    """What happened in this region between two times is to be delivered to a webhook again."""

    webhook_id: str
    replay_id: str
    since: datetime
    until: datetime
    author: str
