"""A payment that is read from a server which does not have its newest events yet."""

import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.payment import PaymentAuthorisationRequested, PaymentAuthorised, PaymentState
from services.payments.fold import ANSWERS, REQUESTS, news
from services.payments.steps import read_payment

AMOUNT = Money(amount=4200, currency="EUR")


@pytest.mark.parametrize("behind", [True, False])
async def test_an_answer_names_its_order_although_the_request_cannot_be_read_yet(monkeypatch, behind):
    """The request was delivered by the leader, and a follower answers the read: the answer still goes to the order."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "payments")
    before = await mesh.history("p1", *REQUESTS, *ANSWERS)
    asked = PaymentAuthorisationRequested(
        payment_id="p1", order_id="o1", amount=AMOUNT, method="card", idempotency_key="k1"
    )
    await mesh.publish(asked)
    reported = PaymentState(
        provider="sandbox",
        authorised=AMOUNT,
        captured=AMOUNT * 0,
        released=AMOUNT * 0,
        refunded=AMOUNT * 0,
        provider_id="ch1",
    )

    async def history(*_):
        return before

    if behind:
        monkeypatch.setattr(mesh, "history", history)
    _, payment = await read_payment(mesh, asked.payment_id, asked.order_id)

    assert news(payment, reported, answers="k1") == [
        PaymentAuthorised(payment_id="p1", order_id="o1", payment=reported, answers="k1")
    ]
