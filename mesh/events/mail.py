"""Mails: those about an order, each claimed before it is sent; and what came back of any, bounces and complaints."""

from datetime import datetime
from typing import Literal

from mesh.channels import ChannelName
from mesh.event import Event, event


@event(key="mail_id")
class MailAdvanced(Event):
    """How far a message about an order has come: the newest one is its state.

    `mail_id` follows from order and occasion, so that a second report of the same asks for no second mail. A mail is
    `claimed` by the process that sends it, then `sent`, `failed`, or `deferred` until a time because the server did
    not take it; `reason` says why. It holds no address; `domain` is the recipient's, of a mail that was sent. A message
    in another `channel`, such as SMS, has its own id.
    """

    mail_id: str
    order_id: str
    template: str
    outcome: Literal["claimed", "sent", "deferred", "failed"]
    attempt: int
    template_revision: int | None = None
    reason: str = ""
    until: datetime | None = None
    domain: str = ""
    channel: ChannelName = "email"


@event(key="address")
class MailBounced(Event):
    """A mail came back: for good (`hard`: there is no such mailbox) or for now. No address is in it, only its digest.

    `domain` is the recipient's; `report` the id of what said so, which counts once; `soft` are the times of this and
    the earlier bounces that were not hard, in this region and within the window that counts. `mail` is the id of the
    offer or mail that was sent, where that is known.
    """

    address: str
    domain: str
    hard: bool
    source: str
    report: str
    status: str = ""
    reason: str = ""
    soft: tuple[datetime, ...] = ()
    mail: str | None = None


@event(key="address")
class MailComplained(Event):
    """The owner of an address told their mail provider that a mail is spam. `kind` is the report's (RFC 5965)."""

    address: str
    domain: str
    source: str
    report: str
    kind: str = "abuse"
    mail: str | None = None
