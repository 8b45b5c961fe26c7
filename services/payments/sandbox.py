"""Adapter for the sandbox provider that comes with the demo (`cartmesh payment-provider`)."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec

from mesh import Money
from mesh.events.payment import Chargeback, PaymentState
from services.payments.http import ProviderHttp
from services.payments.provider import Authorisation, Charge, Notice


class _Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """What a bank took back of a charge."""

    id: str
    amount: int
    reason: str
    won: bool


class _Booked(msgspec.Struct, frozen=True, kw_only=True):
    """A charge in the sandbox's API."""

    id: str
    reference: str
    order: str
    region: str
    currency: str
    authorised: int
    captured: int
    released: int
    refunded: int
    created: datetime
    declined: str | None = None
    disputes: tuple[_Dispute, ...] = ()


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    charges: tuple[_Booked, ...]
    next: str | None = None


class _Webhook(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    charge: _Booked


class Sandbox:
    """The sandbox provider."""

    name = "sandbox"
    signature_header = "Sandbox-Signature"

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    async def register(self, url: str) -> None:
        """Have webhooks sent to this address. Raises as all calls do."""
        await self._http.call("PUT", "/v1/webhook_endpoints", json={"url": url})

    async def authorise(self, asked: Authorisation, key: str) -> Charge:
        """Hold an amount."""
        body = {
            "reference": asked.payment_id,
            "order": asked.order_id,
            "region": asked.region,
            "amount": asked.amount.amount,
            "currency": asked.amount.currency,
            "method": asked.method,
        }
        return await self._asked("/v1/charges", key, body)

    async def capture(self, provider_id: str, amount: Money, key: str) -> Charge:
        """Charge what is held."""
        return await self._asked(f"/v1/charges/{provider_id}/capture", key, {"amount": amount.amount})

    async def void(self, provider_id: str, key: str) -> Charge:
        """Give back what is held."""
        return await self._asked(f"/v1/charges/{provider_id}/void", key, {})

    async def refund(self, provider_id: str, amount: Money, key: str) -> Charge:
        """Pay back."""
        return await self._asked(f"/v1/charges/{provider_id}/refund", key, {"amount": amount.amount})

    async def charge(self, provider_id: str) -> Charge:
        """A charge as it is now."""
        _, answer = await self._http.call("GET", f"/v1/charges/{provider_id}")
        return _charge(msgspec.convert(answer, _Booked))

    async def charges(self, since: datetime, until: datetime) -> AsyncIterator[Charge]:
        """The books, page by page."""
        after: str | None = None
        while True:
            asked = {"since": since.isoformat(), "until": until.isoformat()} | ({"after": after} if after else {})
            _, answer = await self._http.call("GET", "/v1/charges", params=asked)
            page = msgspec.convert(answer, _Page)
            for one in page.charges:
                yield _charge(one)
            after = page.next
            if after is None:
                return

    async def notice(self, body: bytes) -> Notice | None:
        """A webhook's charge."""
        webhook = msgspec.json.decode(body, type=_Webhook)
        return Notice(id=webhook.id, charge=_charge(webhook.charge))

    async def _asked(self, path: str, key: str, body: dict[str, Any]) -> Charge:
        _, answer = await self._http.call("POST", path, key=key, json=body)
        return _charge(msgspec.convert(answer, _Booked))


def _charge(booked: _Booked) -> Charge:
    def money(amount: int) -> Money:
        return Money(amount=amount, currency=booked.currency)

    state = PaymentState(
        provider=Sandbox.name,
        provider_id=booked.id,
        authorised=money(booked.authorised),
        captured=money(booked.captured),
        released=money(booked.released),
        refunded=money(booked.refunded),
        declined=booked.declined,
        chargebacks=tuple(
            Chargeback(dispute_id=one.id, amount=money(one.amount), reason=one.reason, won=one.won)
            for one in booked.disputes
        ),
    )
    return Charge(
        payment_id=booked.reference,
        order_id=booked.order,
        region=booked.region,
        created=booked.created,
        state=state,
    )
