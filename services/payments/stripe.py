"""Adapter for Stripe: PaymentIntents with manual capture (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method).

Whose a payment is stands in the intent's metadata, which Stripe copies to the charge.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from mesh import Money
from mesh.events.payment import Chargeback, PaymentState
from services.payments.fold import joined, nothing
from services.payments.http import DECLINED, ProviderHttp
from services.payments.provider import Authorisation, Charge, Notice, RequestRefused

VERSION = "2024-06-20"
OTHER_UNITS = frozenset({"ISK", "UGX", "MGA"})
"""Currencies whose amounts Stripe takes in other units than ISO 4217's: https://docs.stripe.com/currencies"""
DISPUTED = frozenset({"needs_response", "under_review", "lost", "won"})
"""The states of a dispute whose money the bank took: https://docs.stripe.com/api/disputes/object#dispute_object-status"""
_EXPANDED = {"expand[]": "latest_charge"}
_PAGE = 100
_NEEDS_SHOPPER = "authentication_required"


class Stripe:
    """Stripe's API. A card that wants its owner to confirm counts as declined: `authentication_required`."""

    name = "stripe"
    signature_header = "Stripe-Signature"

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    async def authorise(self, asked: Authorisation, key: str) -> Charge:
        """Create and confirm an intent that is captured later."""
        if asked.amount.currency in OTHER_UNITS:
            raise RequestRefused(f"amounts in {asked.amount.currency} have other units at Stripe")
        content = {
            "amount": asked.amount.amount,
            "currency": asked.amount.currency.lower(),
            "payment_method": asked.method,
            "payment_method_types[0]": "card",
            "capture_method": "manual",
            "confirm": "true",
            "metadata[payment_id]": asked.payment_id,
            "metadata[order_id]": asked.order_id,
            "metadata[region]": asked.region,
            **_EXPANDED,
        }
        status, answer = await self._http.call("POST", "/v1/payment_intents", key=key, data=content)
        if status != DECLINED:
            return _of_intent(answer)
        error = answer.get("error", {})
        reason = error.get("decline_code") or error.get("code") or "declined"
        state = nothing(self.name, asked.amount.currency)
        return Charge(
            payment_id=asked.payment_id,
            order_id=asked.order_id,
            region=asked.region,
            created=datetime.now(UTC),
            state=msgspec.structs.replace(
                state, declined=reason, provider_id=(error.get("payment_intent") or {}).get("id")
            ),
        )

    async def capture(self, provider_id: str, amount: Money, key: str) -> Charge:
        """Capture an intent; Stripe gives the rest back."""
        content = {"amount_to_capture": amount.amount, **_EXPANDED}
        _, answer = await self._http.call("POST", f"/v1/payment_intents/{provider_id}/capture", key=key, data=content)
        return _of_intent(answer)

    async def void(self, provider_id: str, key: str) -> Charge:
        """Cancel an intent."""
        _, answer = await self._http.call(
            "POST", f"/v1/payment_intents/{provider_id}/cancel", key=key, data=dict(_EXPANDED)
        )
        return _of_intent(answer)

    async def refund(self, provider_id: str, amount: Money, key: str) -> Charge:
        """Refund, and read what the charge is then."""
        content = {"payment_intent": provider_id, "amount": amount.amount}
        await self._http.call("POST", "/v1/refunds", key=key, data=content)
        return await self.charge(provider_id)

    async def charge(self, provider_id: str) -> Charge:
        """An intent as it is now."""
        _, answer = await self._http.call("GET", f"/v1/payment_intents/{provider_id}", params=_EXPANDED)
        return _of_intent(answer)

    async def charges(self, since: datetime, until: datetime) -> AsyncIterator[Charge]:
        """Every charge of that time that carries a payment's id, a hundred in a request."""
        asked: dict[str, Any] = {
            "created[gt]": int(since.timestamp()) - 1,
            "limit": _PAGE,
            "expand[]": "data.payment_intent",
        }
        while True:
            _, page = await self._http.call("GET", "/v1/charges", params=asked)
            for one in page["data"]:
                intent = one.get("payment_intent")
                found = _of_charge(one, intent if isinstance(intent, dict) else {})
                if found and since <= found.created < until:
                    yield found
            if not page.get("has_more") or not page["data"]:
                return
            asked["starting_after"] = page["data"][-1]["id"]

    async def notice(self, body: bytes) -> Notice | None:
        """A webhook's intent, charge or dispute (https://docs.stripe.com/api/events/types).

        A dispute names its intent, and not whose payment that is: the intent is read. Raises what that raises.
        """
        webhook = msgspec.json.decode(body)
        try:
            type_, thing = webhook["type"], webhook["data"]["object"]
            found = None
            if type_.startswith("charge.dispute."):
                found = await self._disputed(thing)
            elif type_.startswith("payment_intent."):
                found = _of_intent(thing) if thing.get("metadata", {}).get("payment_id") else None
            elif type_.startswith("charge.") and thing.get("object") == "charge":
                found = _of_charge(thing, {})
            return Notice(id=webhook["id"], charge=found) if found else None
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no event of Stripe: {error!r}") from error

    async def _disputed(self, dispute: dict[str, Any]) -> Charge | None:
        """The payment with what was charged back. None for an inquiry, which moves no money, or nobody's payment."""
        intent, status = dispute.get("payment_intent"), dispute["status"]
        if status not in DISPUTED or not intent:
            return None
        amount = Money(amount=dispute["amount"], currency=dispute["currency"].upper())
        chargeback = Chargeback(dispute_id=dispute["id"], amount=amount, reason=dispute["reason"], won=status == "won")
        charge = await self.charge(intent if isinstance(intent, str) else intent["id"])
        state = joined(charge.state, msgspec.structs.replace(charge.state, chargebacks=(chargeback,)))
        return msgspec.structs.replace(charge, state=state) if charge.payment_id else None


def _of_intent(intent: dict[str, Any]) -> Charge:
    """A payment from its intent, and from the charge in it where it was expanded."""
    state = msgspec.structs.replace(nothing(Stripe.name, intent["currency"].upper()), provider_id=intent["id"])
    charge = intent.get("latest_charge")
    if isinstance(charge, dict):
        state = joined(state, _charge_state(charge, intent))
    status, amount = intent.get("status"), intent["amount"]
    authorised, captured, released = 0, 0, 0
    if status == "requires_capture":
        authorised = amount
    elif status == "succeeded" and intent.get("amount_received") is not None:
        authorised, captured = amount, intent["amount_received"]
        released = amount - captured
    elif status == "canceled" and charge and not _failed(charge):
        authorised = released = amount
    error = intent.get("last_payment_error") or {}
    declined = error.get("decline_code") or error.get("code")
    if status == "requires_action":
        declined = _NEEDS_SHOPPER
    own = _state(intent, authorised=authorised, captured=captured, released=released, refunded=0)
    return _named(intent, joined(state, msgspec.structs.replace(own, provider_id=intent["id"], declined=declined)))


def _of_charge(charge: dict[str, Any], intent: dict[str, Any]) -> Charge | None:
    """A payment from a charge; None where it is none of ours."""
    metadata = (charge.get("metadata") or {}) if (charge.get("metadata") or {}).get("payment_id") else None
    if metadata is None and not (intent.get("metadata") or {}).get("payment_id"):
        return None
    intent_id = intent.get("id") or charge.get("payment_intent")
    state = _charge_state(charge, {"id": intent_id})
    if intent.get("status") == "canceled" and not charge.get("captured"):
        state = msgspec.structs.replace(state, released=state.authorised)
    return _named({"metadata": metadata or intent["metadata"], "created": charge["created"]}, state)


def _charge_state(charge: dict[str, Any], intent: dict[str, Any]) -> PaymentState:
    """What a charge says. What was not captured counts as refunded at Stripe, and as released here."""
    amount, back = charge["amount"], charge.get("amount_refunded") or 0
    if _failed(charge):
        declined = (charge.get("outcome") or {}).get("reason") or charge.get("failure_code") or "declined"
        state = _state(charge, authorised=0, captured=0, released=0, refunded=0)
        return msgspec.structs.replace(state, provider_id=intent.get("id"), declined=declined)
    if charge.get("captured"):
        captured = charge.get("amount_captured") or amount
        released = amount - captured
        state = _state(
            charge, authorised=amount, captured=captured, released=released, refunded=max(back - released, 0)
        )
    else:
        state = _state(charge, authorised=amount, captured=0, released=back, refunded=0)
    return msgspec.structs.replace(state, provider_id=intent.get("id"))


def _failed(charge: Any) -> bool:
    return isinstance(charge, dict) and charge.get("status") == "failed"


def _state(thing: dict[str, Any], **amounts: int) -> PaymentState:
    currency = thing["currency"].upper()
    return PaymentState(
        provider=Stripe.name, **{name: Money(amount=value, currency=currency) for name, value in amounts.items()}
    )


def _named(thing: dict[str, Any], state: PaymentState) -> Charge:
    metadata = thing.get("metadata") or {}
    return Charge(
        payment_id=metadata.get("payment_id", ""),
        order_id=metadata.get("order_id", ""),
        region=metadata.get("region", ""),
        created=datetime.fromtimestamp(thing["created"], UTC),
        state=state,
    )
