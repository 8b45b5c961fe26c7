"""Evidence: what a run sent, what the streams hold, and what the mail server wrote down."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from mesh import Event, Received
from mesh.streams import DEFAULT_LAYOUT, StreamLayout

Answer = Literal["accepted", "rejected", "unanswered"]


class Sent(msgspec.Struct, kw_only=True):
    """An event that a storefront sent, and how the gateway answered in the end."""

    id: str
    type: str
    region: str
    visitor_id: str
    sent_at: datetime
    answer: Answer = "unanswered"
    answered_at: datetime | None = None
    attempts: int = 0
    reason: str | None = None


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that the SMTP server accepted, from its own record; `offer_id` is empty where it is about no offer."""

    offer_id: str
    recipient: str
    accepted_at: datetime


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A region that was cut off from all others, and when. `caught_up` is None when it never did."""

    region: str
    began: datetime
    healed: datetime
    caught_up: datetime | None


@dataclass
class Evidence:
    """Everything a report is counted from.

    `stored` are the events in the regions' own write streams; `copies` per region what its MESH stream
    holds of the other regions, where `stored` is the time of arrival there.
    """

    regions: tuple[str, ...]
    nodes: int
    sent: list[Sent] = field(default_factory=list)
    stored: list[Received[Event]] = field(default_factory=list)
    copies: dict[str, list[Received[Event]]] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    dead: int = 0
    layout: StreamLayout = DEFAULT_LAYOUT
    cut: Cut | None = None
    trouble: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When something was killed, from and until."""
