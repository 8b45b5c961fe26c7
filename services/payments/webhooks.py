"""Webhooks: what the provider reports by itself, taken in any order and any number of times."""

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, post

from mesh import History, Mesh
from mesh.envelope import derive_id
from mesh.errors import Conflict, Unavailable
from mesh.events.payment import PaymentAuthorisationRequested
from mesh.observability.logs import log
from mesh.publish import Cause
from mesh.web.application import shared_options
from mesh.web.openapi import documentation
from mesh.web.problems import problem
from mesh.web.signature import BadSignature, verify
from services.payments.asking import Asking
from services.payments.fold import Payment, appended, news
from services.payments.provider import Charge, Notice, OutcomeUnknown, Provider, RequestRefused
from services.payments.steps import read_payment

PATH = "/v1/payments/webhooks"
LARGEST = 256 * 1024
READS = 25
"""How often a payment is read again because something happened to it between reading and storing."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a webhook: `stored` names the events that it brought; none where all was known already."""

    stored: tuple[str, ...] = ()
    note: str = ""


async def take(notice: Notice, provider: Provider, mesh: Mesh) -> Taken:
    """Append what a webhook reports, where it is news: neither order nor copies make a difference.

    What belongs to another region is that region's to take. A charge that nobody here asked for, and a second one that
    names a payment, are left to the daily comparison with the provider's books. Raises Unavailable, and ValueError for
    a charge in another currency.
    """
    charge = notice.charge
    if charge.region != mesh.region:
        return Taken(note=f"a payment of region {charge.region}")
    for _ in range(READS):
        history, payment = await read_payment(mesh, charge.payment_id, charge.order_id)
        if not await _was_requested(history, mesh):
            log.warning("webhook about a payment that was not asked for", payment=charge.payment_id, notice=notice.id)
            return Taken(note="nobody asked for this payment here")
        if is_another_charge(payment, charge):
            log.error("webhook about a second charge of a payment", payment=charge.payment_id, notice=notice.id)
            return Taken(note="another charge than this payment's")
        events = news(payment, charge.state)
        if not events:
            return Taken(note="known already")
        try:
            cause = Cause(id=derive_id(provider.name, notice.id, history.key), source="payments.webhook")
            await mesh.commit(appended(events, history), cause)
        except Conflict:
            continue
        return Taken(stored=tuple(type(one).__name__ for one in events))
    raise Unavailable(f"payment {charge.payment_id} keeps changing")


async def _taken(notice: Notice, provider: Provider, mesh: Mesh, asking: Asking) -> Taken:
    if await asking.was_told(notice.charge):
        return Taken(note="the answer to the request says the same")
    return await take(notice, provider, mesh)


async def _was_requested(history: History, mesh: Mesh) -> bool:
    """Whether somebody here asked for a payment. A history may miss the newest: then the leader knows."""
    kind = PaymentAuthorisationRequested
    return history.last(kind) is not None or await mesh.last(kind, history.key) is not None


def is_another_charge(payment: Payment, charge: Charge) -> bool:
    """Whether the provider has another charge for this payment, whose amounts are none of it."""
    known = payment.state.provider_id if payment.state else None
    return None not in (known, charge.state.provider_id) and known != charge.state.provider_id


def app(mesh: Mesh, asking: Asking, secrets: tuple[str, ...], tolerance: timedelta) -> Litestar:
    """The HTTP interface that the provider calls."""
    provider = asking.configured

    @post(PATH, status_code=200, takes=dict[str, Any], gives={200: Taken}, refuses=(404, 422))
    async def take_webhook(request: Request[Any, Any, Any]) -> Response[Any]:
        """Take one webhook: 200 once it is stored, or needs no storing; 400 for one that the provider did not sign."""
        if provider is None:
            return problem(404, "no payment provider is configured here")
        body = await request.body()
        try:
            verify(body, request.headers.get(provider.signature_header), secrets, tolerance=tolerance)
        except BadSignature as bad:
            return problem(400, str(bad))
        try:
            notice = await provider.notice(body)
            taken = await _taken(notice, provider, mesh, asking) if notice else Taken(note="not about a payment")
        except OutcomeUnknown as unknown:
            return problem(503, f"the provider does not say whose payment it is about: {unknown}")
        except RequestRefused as refused:
            return problem(422, f"the provider does not know what it is about: {refused}")
        except ValueError as error:
            return problem(422, f"signed, but not to be understood: {error}")
        return Response(msgspec.json.encode(taken), media_type="application/json")

    routes = [take_webhook, documentation("Payments", key="None: a webhook is signed by the payment provider.")]
    return Litestar(routes, request_max_body_size=LARGEST, **shared_options(mesh))
