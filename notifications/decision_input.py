"""DecisionInput: all that an evaluation may look at, read beforehand so that evaluating is a pure function."""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from mesh.channels import EMAIL, ChannelName
from mesh.events.cart import CartLine
from mesh.events.contact import Contact
from mesh.events.user import Advice
from mesh.money import Money


class PriorityClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A held run of a journey with higher priority: one contact is kept for it until it is decided again at `until`.

    `contact_interval` is the least time that its journey wants between two contacts.
    """

    journey: str
    priority: int
    until: datetime
    contact_interval: timedelta = timedelta(0)


class AddressKnown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A channel's address of the shopper: whether it is confirmed, and why nothing is sent to it."""

    confirmed: bool = False
    suppressed: str | None = None


class DecisionInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of an abandoned cart and its shopper at the moment of the evaluation.

    `cart` is where the cart stands (with `cart_detail` as text), `due` when its idle timer was due.
    `suppressed` is why nothing is sent to the shopper's e-mail address (`notifications/suppressions.py`); `addresses`
    says the same of other channels' addresses that are known. `not_set_up` has the channels that this shop cannot send
    by, with the setting that each lacks.
    `person` names the shopper for the holdout's hash. `consent` has only those channels that the
    shopper was asked about. `contacts` are earlier offers, without this one's; `before` are held runs
    that may contact the shopper first. `regions` are other regions where the
    shopper was active, or may have been because the region was `away` when the cart fell due; `staleness` their
    heartbeats' ages (None: none received yet).
    `time_zone` is the shopper's, where known; `utc_offset` the minutes east of UTC that their cart was sent with;
    `region_zone` the zone of the region that decides.
    `habit` says why the shopper gets no further discount.
    `propensity` and `advice` are the scoring service's, where they arrived in time.
    `lines`, `device` (newest, where the page said it), `customer_known`, `language` (such as `de`) and `last_purchase`
    (in any region, before this cart; None: none that is known) are what audiences ask about besides, as is
    `checkout_started`, whether the visitor went to the till with this cart (None: it was decided before that was read).
    """

    cart: Literal["left", "moved on", "bought"]
    cart_detail: str
    due: datetime
    total: Money
    person: str
    email_known: bool = False
    email_confirmed: bool = False
    suppressed: str | None = None
    consent: dict[ChannelName, bool] = {}
    unsubscribed: frozenset[ChannelName] = frozenset()
    time_zone: str | None = None
    utc_offset: int | None = None
    region_zone: str = "UTC"
    contacts: tuple[Contact, ...] = ()
    before: tuple[PriorityClaim, ...] = ()
    regions: tuple[str, ...] = ()
    staleness: dict[str, timedelta | None] = {}
    away: bool = False
    propensity: float | None = None
    advice: Advice | None = None
    habit: str = ""
    lines: tuple[CartLine, ...] = ()
    device: str | None = None
    customer_known: bool = False
    language: str | None = None
    last_purchase: datetime | None = None
    checkout_started: bool | None = None
    addresses: dict[ChannelName, AddressKnown] = {}
    not_set_up: dict[ChannelName, str] = {}

    def address(self, channel: ChannelName) -> AddressKnown | None:
        """A channel's address of the shopper; None where none is known."""
        if channel != EMAIL.name:
            return self.addresses.get(channel)
        known = AddressKnown(confirmed=self.email_confirmed, suppressed=self.suppressed)
        return known if self.email_known else None


def recorded(inputs: DecisionInput) -> dict[str, Any]:
    """What a decision keeps of its input, so that it can be made again. The language stays in the shopper's region."""
    return msgspec.to_builtins(msgspec.structs.replace(inputs, language=None))
