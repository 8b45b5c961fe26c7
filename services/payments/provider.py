"""Provider: whoever moves the money. What an adapter has to do, and how it reports."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec

from mesh import Money
from mesh.events.payment import PaymentState


class OutcomeUnknown(Exception):
    """The provider did not answer, or not definitely: it may have done what it was asked, or not.

    The same call with the same idempotency key finds out, and does nothing twice.
    """


class RequestRefused(Exception):
    """The provider refuses for good, and has done nothing: a capture above what is held, an unknown card."""


class Authorisation(msgspec.Struct, frozen=True, kw_only=True):
    """An amount that is to be held on a payment method. `region` is where the payment lives."""

    payment_id: str
    order_id: str
    region: str
    amount: Money
    method: str


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the provider's books have it; whose it is stands there as the adapter wrote it."""

    payment_id: str
    order_id: str
    region: str
    created: datetime
    state: PaymentState


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook reports: the charge as it was when the provider wrote it. `id` is the provider's."""

    id: str
    charge: Charge


class Provider(Protocol):
    """A payment provider. Each call that moves money has an idempotency key: under one key it is done once.

    Calls raise OutcomeUnknown and RequestRefused. A declined authorisation is no error: the charge says so.
    """

    name: str
    signature_header: str
    """The header of a webhook's signature (`mesh/web/signature.py`)."""

    async def authorise(self, asked: Authorisation, key: str) -> Charge:
        """Hold an amount, to be captured later."""
        ...

    async def capture(self, provider_id: str, amount: Money, key: str) -> Charge:
        """Charge what is held, whole or in part; the rest is given back."""
        ...

    async def void(self, provider_id: str, key: str) -> Charge:
        """Give back what is held. Raises RequestRefused where it was captured."""
        ...

    async def refund(self, provider_id: str, amount: Money, key: str) -> Charge:
        """Pay back a part of what was captured, or all of it."""
        ...

    async def charge(self, provider_id: str) -> Charge:
        """A charge as it is now."""
        ...

    def charges(self, since: datetime, until: datetime) -> AsyncIterator[Charge]:
        """The books: every charge that was created since `since` and before `until`."""
        ...

    async def notice(self, body: bytes) -> Notice | None:
        """What a webhook's body reports; None where it is about something else. Raises ValueError for nonsense.

        Where a body does not say whose payment it is about, the provider is asked.
        """
        ...
