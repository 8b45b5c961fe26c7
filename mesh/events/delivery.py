"""Deliveries of webhooks: what is still to be sent, and each attempt."""

from datetime import datetime
from typing import Literal

from mesh.event import Event, event

Origin = Literal["event", "replay", "resend", "test"]
"""Why something is delivered: it happened, a time range or one attempt is repeated, or somebody tests the endpoint."""


@event(key="delivery_id")
class DeliveryDue(Event):
    """An event is to be delivered to a webhook: a timer, which is replaced by each attempt that fails.

    The event is the one at `sequence` of `stream`; that of a test is in `body`. `attempt` counts from 1. Of a webhook
    with strict order `key` is whose turn it is, and the event is the next of that key.
    """

    delivery_id: str
    webhook_id: str
    event_id: str
    event_type: str
    stream: str
    sequence: int
    attempt: int = 1
    origin: Origin = "event"
    key: str | None = None
    body: str | None = None


Outcome = Literal["delivered", "failed", "given_up", "skipped"]
"""`failed` is tried again; `given_up` is not; `skipped` was not sent, because the webhook was disabled or changed."""


@event(key="webhook_id")
class DeliveryAttempted(Event):
    """An attempt to deliver an event: how it was answered, and when the next attempt is due, where there is one.

    `duration` is in milliseconds, `answer` the first characters of the response, `status` is None without one.
    """

    webhook_id: str
    delivery_id: str
    event_id: str
    event_type: str
    stream: str
    sequence: int
    attempt: int
    outcome: Outcome
    duration: float
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    next_attempt: datetime | None = None
    origin: Origin = "event"
