"""Sender: how a channel hands an offer's message over. Everything before that is the same for all channels.

`notifications.channels.delivery` reads cart, shopper and consent, claims the offer, and records what became of it. A
channel says where its message goes, and has it taken.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from mesh.channels import Channel
from mesh.events.offer import OfferDecided
from notifications.channels.attempts import Attempts
from notifications.channels.reading import Reading
from notifications.journeys.live import LiveJourneys
from notifications.render_pool import Rendered
from notifications.shopper_profile import ShopperProfile


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side took: its name for the message; of a mail the recipient's domain, and whether opens count."""

    message_id: str
    domain: str = ""
    opens_counted: bool = False


class Handover(Protocol):
    """A connection on which the message to `to` may be handed over."""

    @property
    def to(self) -> str:
        """The recipient."""

    async def hand_over(self, decided: OfferDecided, rendered: Rendered) -> Handed:
        """Hand the message over, once. Raises Undelivered where it was not taken for certain, Unknown."""


class Sender(Protocol):
    """One process's way to send by a channel."""

    channel: Channel
    attempts: Attempts
    journeys: LiveJourneys

    def to(self, profile: ShopperProfile) -> str | None:
        """The shopper's address as it is written on the message; None where there is none that can be written to."""

    async def rendered(self, decided: OfferDecided, reading: Reading) -> Rendered:
        """The message in the shopper's language. Raises TemplateError."""

    def handover(self, profile: ShopperProfile, decided: OfferDecided) -> AbstractAsyncContextManager[Handover]:
        """A connection for the message to a shopper who has an address, as soon as one is free. Raises Undelivered."""
