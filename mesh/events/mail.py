"""Mails about an order, which are no offers: each is claimed before it is sent."""

from datetime import datetime
from typing import Literal

from mesh.event import Event, event


@event(key="mail_id")
class MailAdvanced(Event):
    """How far a mail about an order has come: the newest one is its state.

    `mail_id` follows from order and occasion, so that a second report of the same asks for no second mail. A mail is
    `claimed` by the process that sends it, then `sent`, `failed`, or `deferred` until a time because the server did
    not take it; `reason` says why. It holds no address.
    """

    mail_id: str
    order_id: str
    template: str
    outcome: Literal["claimed", "sent", "deferred", "failed"]
    attempt: int
    template_revision: int | None = None
    reason: str = ""
    until: datetime | None = None
