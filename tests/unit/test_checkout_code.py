"""The code of an order: its checkout claims it, redeems it once the order is confirmed, and gives it back else."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from mesh import Money, Received
from mesh.events.code import CodeClaimChanged, CodeClaimRequested, Discount, OrderCode
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.order import Command, OrderCancelled, OrderConfirmed, OrderCreated
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentState,
    PaymentVoided,
)
from mesh.events.stock import StockReservationChanged
from services.checkout.saga import FINISHED, UNDONE, begun, move
from services.checkout.steps import CheckoutSettings, table

STEPS = table(CheckoutSettings())
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOTAL = Money(amount=2338, currency="EUR")
NONE = Money(amount=0, currency="EUR")
CODE = OrderCode(code_id="c1", home="eu", discount=Discount(percent=10), off=Money(amount=260, currency="EUR"))
CREATED = OrderCreated(
    order_id="o1",
    lines=(),
    total=TOTAL,
    payment_method="tok_visa",
    command=Command(key="o1", body="b"),
    customer_id="ada",
    code=CODE,
)


def paid(**amounts):
    return PaymentState(
        provider="sandbox",
        **{name: amounts.get(name, NONE) for name in ("authorised", "captured", "released", "refunded")},
    )


def stock(outcome):
    return StockReservationChanged(order_id="o1", outcome=outcome, lines=(), taken=(), answers="r", request_sequence=1)


def code(outcome):
    return CodeClaimChanged(order_id="o1", code_id="c1", outcome=outcome)


CLEARED = FraudCleared(order_id="o1", score=0, answers="r")
VOIDED = PaymentVoided(payment_id="o1", order_id="o1", payment=paid(authorised=TOTAL, released=TOTAL))
AUTHORISED = PaymentAuthorised(payment_id="o1", order_id="o1", payment=paid(authorised=TOTAL))
CAPTURED = PaymentCaptured(payment_id="o1", order_id="o1", payment=paid(authorised=TOTAL, captured=TOTAL))
DECLINED = PaymentDeclined(payment_id="o1", order_id="o1", payment=paid(), reason="card_declined")
CONFIRMED = OrderConfirmed(order_id="o1", lines=(), total=TOTAL)
CANCELLED = OrderCancelled(order_id="o1", lines=(), amount=TOTAL, left=(), total=NONE, by="checkout")
HAPPY = (stock("reserved"), code("reserved"), CLEARED, AUTHORISED, CONFIRMED, code("redeemed"), CAPTURED, stock("sold"))


def run(*events):
    """The last state, and all that was requested on the way."""
    state, requests = begun(CREATED, STEPS), []
    for at, event in enumerate((CREATED, *events), 1):
        received = Received(
            event=event, id=f"e{at}", time=NOW, stored=NOW, region="us", sequence=at, subject="ev.us.x.y.o1"
        )
        made = move(state, [received], STEPS)
        state, requests = made.state, requests + list(made.requests)
    return state, requests


def claims(requests):
    return [one.action for one in requests if isinstance(one, CodeClaimRequested)]


def test_a_code_is_claimed_before_the_payment_and_redeemed_once_the_order_is_confirmed():
    """Each once, of the region that is its home."""
    state, requests = run(*HAPPY)

    kinds = [type(one) for one in requests]
    claim, redeem = [at for at, one in enumerate(requests) if isinstance(one, CodeClaimRequested)]
    assert (state.step, claims(requests)) == (FINISHED, ["reserve", "redeem"])
    assert claim < kinds.index(FraudCheckRequested) < kinds.index(PaymentAuthorisationRequested) < redeem
    assert (requests[claim].home, requests[claim].code_id, requests[claim].customer_id) == ("eu", "c1", "ada")


def test_the_order_goes_on_while_nobody_answers_that_the_code_is_redeemed():
    """The home may be cut off; it has kept the code for the order."""
    state, requests = run(*(one for one in HAPPY if one != code("redeemed")))

    assert (state.step, claims(requests)) == (FINISHED, ["reserve", "redeem"])


@pytest.mark.parametrize(
    "events",
    [
        (stock("refused"),),
        (stock("reserved"), code("refused"), stock("released")),
        (stock("reserved"), code("reserved"), CLEARED, DECLINED, stock("released")),
        (stock("reserved"), code("reserved"), CLEARED, CANCELLED, VOIDED, stock("released")),
        (stock("reserved"), CANCELLED, stock("released")),
    ],
)
def test_an_order_that_is_undone_gives_its_code_back(events):
    """Whatever undid it, at whichever step; and it never redeems it."""
    state, requests = run(*events, CANCELLED, code("released"))

    assert (state.step, state.parked) == (UNDONE, None)
    assert [one for one in claims(requests) if one != "reserve"] == ["release"]


@pytest.mark.parametrize("events", list(permutations((stock("reserved"), code("reserved"), CLEARED, AUTHORISED))))
def test_answers_in_any_order_ask_for_nothing_twice(events):
    """Answers that come early are taken when their step comes."""
    _, requests = run(*events, *events, CONFIRMED, CONFIRMED, code("redeemed"), CAPTURED)

    assert claims(requests) in (["reserve", "redeem"], ["redeem"])  # an answer that came first needs no request
