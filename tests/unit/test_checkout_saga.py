"""The checkout of an order: whatever happens in whatever order, it is charged and sold once, or all is undone."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mesh import Money, Received
from mesh.events.checkout import CheckoutResumed, CheckoutStepDue, CheckoutStockRequested
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.order import (
    Command,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmationRequested,
    OrderConfirmed,
    OrderCreated,
    OrderReturned,
)
from mesh.events.payment import (
    Chargeback,
    PaymentAuthorisationRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureRequested,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentDeclined,
    PaymentFailed,
    PaymentFlagged,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentState,
    PaymentVoided,
    PaymentVoidRequested,
)
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import StockReservationChanged
from services.checkout.saga import FINISHED, UNDONE, begun, move
from services.checkout.steps import CheckoutSettings, holds_stock, is_unsettled, table

TOTAL = 2598
STEPS = table(CheckoutSettings())
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CREATED = OrderCreated(
    order_id="o1",
    lines=(),
    total=Money(amount=TOTAL, currency="EUR"),
    payment_method="tok_visa",
    command=Command(key="o1", body="b"),
    visitor_id="v1",
)


def received(event, sequence):
    return Received(
        event=event, id=f"e{sequence}", time=NOW, stored=NOW, region="us", sequence=sequence, subject="ev.us.x.y.o1"
    )


def euros(amount):
    return Money(amount=amount, currency="EUR")


def paid(authorised=0, captured=0, released=0, refunded=0):
    return PaymentState(
        provider="sandbox",
        authorised=euros(authorised),
        captured=euros(captured),
        released=euros(released),
        refunded=euros(refunded),
    )


def payment(kind, **amounts):
    more = {"reason": "card_declined"} if kind is PaymentDeclined else {}
    return kind(payment_id="o1", order_id="o1", payment=paid(**amounts), **more)


def stock(outcome):
    return StockReservationChanged(order_id="o1", outcome=outcome, lines=(), taken=(), answers="r", request_sequence=1)


def cancelled(by="customer"):
    return OrderCancelled(order_id="o1", lines=(), amount=euros(TOTAL), left=(), total=euros(0), by=by)


CLEARED = FraudCleared(order_id="o1", score=0, answers="r")
CONFIRMED = OrderConfirmed(order_id="o1", lines=(), total=euros(TOTAL))
HAPPY = (
    stock("reserved"),
    CLEARED,
    payment(PaymentAuthorised, authorised=TOTAL),
    CONFIRMED,
    payment(PaymentCaptured, authorised=TOTAL, captured=TOTAL),
    stock("sold"),
)


RESERVE = CheckoutStockRequested(order_id="o1", action="reserve")


def run(events, state=None):
    """The last state, and all that was requested on the way."""
    made = move(state or begun(CREATED, STEPS), [received(CREATED, 1)], STEPS)
    requests = list(made.requests)
    for one in events:
        made = move(made.state, [one], STEPS)
        requests += made.requests
    return made.state, requests


def test_an_order_goes_from_stock_to_shipping_in_the_order_of_the_table():
    """Each step is requested once, after the one before it was answered."""
    state, requests = run(received(event, at) for at, event in enumerate(HAPPY, 2))

    assert [type(one) for one in requests] == [
        CheckoutStockRequested,
        FraudCheckRequested,
        PaymentAuthorisationRequested,
        OrderConfirmationRequested,
        PaymentCaptureRequested,
        ShipmentRequested,
        CheckoutStockRequested,
    ]
    assert [requests[0].action, requests[-1].action] == ["reserve", "sell"]
    assert (state.step, state.failure, state.parked) == (FINISHED, None, None)
    assert state.asked == dict.fromkeys(("reserve", "check", "authorise", "confirm", "capture", "ship", "sell"), 1)


SAD = (
    stock("reserved"),
    CLEARED,
    cancelled(),
    payment(PaymentAuthorised, authorised=TOTAL),
    payment(PaymentVoided, authorised=TOTAL, released=TOTAL),
    stock("released"),
)
DECLINED = (
    stock("reserved"),
    CLEARED,
    payment(PaymentDeclined),
    stock("released"),
    cancelled("checkout"),
    CONFIRMED,
)


@pytest.mark.parametrize(("events", "end"), [(HAPPY, FINISHED), (SAD, UNDONE)])
def test_every_order_of_delivery_comes_to_the_same_end(events, end):
    """Six events that were stored in one order and are delivered in each of the 720 others, some of them twice."""
    places = [received(event, at) for at, event in enumerate(events, 2)]
    for order in permutations(places):
        state, requests = run([*order, order[0], order[3]])

        assert (state.step, state.parked) == (end, None), order
        assert max(state.asked.values()) == 1 or end == UNDONE  # to undo once more undoes nothing
        made = [one.idempotency_key for one in requests if hasattr(one, "idempotency_key")]
        assert len(made) == len(set(made))
        assert end == FINISHED or not (holds_stock(state) or is_unsettled(state))


def test_a_declined_payment_is_undone():
    """The stock is given back and the order is cancelled; nothing is charged."""
    events = [received(event, at) for at, event in enumerate(DECLINED[:3], 2)]
    state, requests = run(events)
    assert (state.step, state.failure) == ("release", "authorise: payment.declined")

    made = move(state, [received(stock("released"), 9)], STEPS)

    assert made.requests == (OrderCancellationRequested(order_id="o1", reason="authorise: payment.declined"),)
    assert move(made.state, [received(cancelled("checkout"), 10)], STEPS).state.step == UNDONE
    assert not [one for one in requests if isinstance(one, PaymentCaptureRequested | PaymentVoidRequested)]


def test_out_of_stock_charges_nobody():
    """Without stock the order is cancelled before its payment is asked for."""
    state, requests = run([received(stock("refused"), 2)])

    assert (state.step, requests) == (
        "cancel",
        [RESERVE, OrderCancellationRequested(order_id="o1", reason="reserve: stock.refused")],
    )


def due(state):
    return received(CheckoutStepDue(order_id="o1", step=state.step, attempt=state.asked[state.step]), 0)


def test_a_payment_that_comes_late_is_given_back():
    """Nobody answered the authorisation three times, the order is undone, and then the card was charged after all."""
    state, _ = run([received(stock("reserved"), 2), received(CLEARED, 3)])
    for _ in range(3):
        state = move(state, [due(state)], STEPS).state
    assert (state.step, state.failure) == ("void", "authorise: nobody answered 3 times")
    for at, event in enumerate((payment(PaymentVoided), stock("released"), cancelled("checkout")), 10):
        state = move(state, [received(event, at)], STEPS).state
    assert state.step == UNDONE

    late = move(state, [received(payment(PaymentCaptured, authorised=TOTAL, captured=TOTAL), 20)], STEPS)
    refunded = payment(PaymentRefunded, authorised=TOTAL, captured=TOTAL, refunded=TOTAL)

    assert [type(one) for one in late.requests] == [PaymentVoidRequested]
    assert move(late.state, [received(refunded, 21)], STEPS).state.step == UNDONE


def test_a_limit_that_is_over_late_changes_nothing():
    """A timer of a step that was answered, or of an earlier attempt, is without effect."""
    first, _ = run([])
    stale = due(first)
    second = move(first, [due(first)], STEPS).state
    third = move(second, [received(stock("reserved"), 3)], STEPS).state

    assert (first.asked, second.asked) == ({"reserve": 1}, {"reserve": 2})
    assert move(second, [stale], STEPS).state.asked == second.asked
    assert move(third, [due(second)], STEPS).requests == ()


@pytest.mark.parametrize(
    ("policy", "step", "failure", "parked"),
    [
        ("accept", "authorise", None, None),
        ("undo", "release", "check: nobody answered", None),
        ("park", "check", None, "check: nobody answered"),
    ],
)
def test_the_silence_of_the_fraud_check_has_a_declared_policy(policy, step, failure, parked):
    """`fraud_silence` says whether an order that nobody judged goes on, is undone, or waits for somebody."""
    steps = table(CheckoutSettings(fraud_silence=policy))
    state = move(begun(CREATED, steps), [received(CREATED, 1), received(stock("reserved"), 2)], steps).state
    state = move(state, [due(state)], steps).state

    assert (state.step, state.failure, state.parked) == (step, failure, parked)


def resumed(decision):
    return received(CheckoutResumed(order_id="o1", decision=decision, reason="by hand"), 50)


def test_a_flagged_payment_waits_for_somebody():
    """Nothing is charged meanwhile. Accepted it goes on, else everything is undone."""
    flagged = PaymentFlagged(order_id="o1", score=90, rules=(), reasons=(), answers="r")
    state, requests = run([received(stock("reserved"), 2), received(flagged, 3)])
    assert (state.parked, [type(one) for one in requests]) == (
        "check: payment.flagged",
        [CheckoutStockRequested, FraudCheckRequested],
    )

    accepted = move(state, [resumed("accept")], STEPS)
    undone = move(state, [resumed("undo")], STEPS)

    assert [type(one) for one in accepted.requests] == [PaymentAuthorisationRequested]
    assert (undone.state.step, undone.state.failure) == ("release", "by hand")


def test_a_failed_capture_is_parked_and_can_be_asked_for_again():
    """A confirmed order is not cancelled by itself; the events that came meanwhile are taken after the decision."""
    failed = PaymentFailed(
        payment_id="o1", order_id="o1", step="capture", reason="timeout", answers="k", payment=paid(authorised=TOTAL)
    )
    state, _ = run([*(received(event, at) for at, event in enumerate(HAPPY[:4], 2)), received(failed, 9)])
    assert state.parked == "capture: payment.capture_failed"

    again = move(state, [resumed("again")], STEPS)
    behind = move(state, [resumed("again"), received(HAPPY[4], 30)], STEPS)

    assert [type(one) for one in again.requests] == [PaymentCaptureRequested]
    requested = [type(one) for one in behind.requests]
    assert (behind.state.step, requested) == ("sell", [ShipmentRequested, CheckoutStockRequested])


def test_money_for_returned_pieces_is_paid_back():
    """After the end a return asks for a refund of what it cost, once; a second one for its own."""
    state, _ = run(received(event, at) for at, event in enumerate(HAPPY, 2))
    back = {"order_id": "o1", "lines": (), "amount": euros(1299), "all_lines": ()}
    first = move(state, [received(OrderReturned(**back, total=euros(1299)), 20)], STEPS)
    second = move(first.state, [received(OrderReturned(**back, total=euros(2598)), 21)], STEPS)
    half = payment(PaymentRefunded, authorised=TOTAL, captured=TOTAL, refunded=1299)
    third = move(second.state, [received(half, 22)], STEPS)
    whole = payment(PaymentRefunded, authorised=TOTAL, captured=TOTAL, refunded=2598)

    amounts = [one.amount.amount for made in (first, second, third) for one in made.requests]
    assert amounts == [1299, 1299]
    assert all(isinstance(one, PaymentRefundRequested) for one in (*first.requests, *third.requests))
    assert move(third.state, [received(whole, 23)], STEPS).state.step == FINISHED


def test_what_a_bank_took_back_is_not_paid_back_again():
    """A return after a chargeback asks for no refund; once the dispute is won, it does."""
    state, _ = run(received(event, at) for at, event in enumerate(HAPPY, 2))
    back = OrderReturned(order_id="o1", lines=(), amount=euros(1299), all_lines=(), total=euros(1299))
    taken = disputed(PaymentChargedBack, won=False)
    won = disputed(PaymentChargebackReversed, won=True)

    charged_back = move(state, [received(taken, 20)], STEPS)
    returned = move(charged_back.state, [received(back, 21)], STEPS)
    reversed_ = move(returned.state, [received(won, 22)], STEPS)
    late = move(reversed_.state, [received(taken, 20)], STEPS)

    assert [charged_back.requests, returned.requests, late.requests] == [(), (), ()]
    assert returned.state.step == FINISHED
    assert [one.amount.amount for one in reversed_.requests] == [1299]


def disputed(kind, *, won):
    """A chargeback of the whole order, or its reversal."""
    chargeback = Chargeback(dispute_id="dp_1", amount=euros(TOTAL), reason="fraudulent", won=won)
    state = msgspec.structs.replace(paid(authorised=TOTAL, captured=TOTAL), chargebacks=(chargeback,))
    named = {"dispute_id": "dp_1", "amount": euros(TOTAL), "reason": "fraudulent"}
    return kind(payment_id="o1", order_id="o1", payment=state, **named)


@dataclass
class World:
    """Stock, payments and orders as they answer a checkout; what they answer is on its way until it is delivered."""

    declines: bool
    short: bool
    flagged: bool
    way: list = field(default_factory=list)
    place: int = 1
    reserved: str = ""
    authorised: int = 0
    captured: int = 0
    released: int = 0
    refunded: int = 0
    order: str = "created"
    shipped: int = 0
    keys: set = field(default_factory=set)

    def store(self, event):
        self.place += 1
        self.way.append(received(event, self.place))

    def amounts(self):
        return {name: getattr(self, name) for name in ("authorised", "captured", "released", "refunded")}

    def ask(self, requests):
        for request in requests:
            key = getattr(request, "idempotency_key", None)
            if key in self.keys:
                continue
            self.keys |= {key} if key else set()
            self._answer(request)

    def _stock(self, asked):
        answer = {"reserve": "refused" if self.short else "reserved", "release": "released", "sell": "sold"}[asked]
        if self.reserved == "sold" or (asked == "reserve" and self.reserved):
            return
        self.reserved = answer
        self.store(stock(answer))

    def _answer(self, request):  # noqa: C901, PLR0912  one branch for each request
        match request:
            case CheckoutStockRequested(action=action):
                self._stock(action)
            case FraudCheckRequested():
                flagged = PaymentFlagged(order_id="o1", score=9, rules=(), reasons=(), answers="r")
                self.store(flagged if self.flagged else CLEARED)
            case PaymentAuthorisationRequested(amount=amount):
                if self.declines:
                    self.store(payment(PaymentDeclined))
                else:
                    assert self.reserved == "reserved"
                    self.authorised = amount.amount
                    self.store(payment(PaymentAuthorised, **self.amounts()))
            case PaymentCaptureRequested(amount=amount):
                if self.authorised > self.released:
                    self.captured, self.released = amount.amount, self.authorised - amount.amount
                    self.store(payment(PaymentCaptured, **self.amounts()))
            case PaymentVoidRequested():
                self.released, self.refunded = self.authorised - self.captured, self.captured
                self.store(payment(PaymentRefunded if self.captured else PaymentVoided, **self.amounts()))
            case OrderConfirmationRequested():
                if self.order == "created":
                    assert (self.reserved, self.authorised) == ("reserved", TOTAL)
                    self.order = "confirmed"
                    self.store(CONFIRMED)
            case OrderCancellationRequested():
                if self.order != "cancelled":
                    self.order = "cancelled"
                    self.store(cancelled("checkout"))
            case ShipmentRequested():
                assert self.order == "confirmed"
                self.shipped += 1

    def cancel(self):
        if self.order != "cancelled" and not self.shipped:
            self.order = "cancelled"
            self.store(cancelled())


@hypothesis_settings(max_examples=300)
@given(st.data(), st.booleans(), st.booleans(), st.sampled_from((False, False, True)))
def test_whatever_is_delivered_when_money_goods_and_order_agree(data, declines, short, flagged):  # noqa: C901  one story
    """Answers in any order, twice or late, limits that run out, a cancellation at any moment.

    A checkout that waits for somebody is asked to go on. In the end the order is charged, sold and shipped once, or
    nothing is held, charged, reserved or confirmed.
    """
    world = World(declines=declines, short=short, flagged=flagged)
    steps = table(CheckoutSettings(fraud_flagged="undo"))
    state, delivered, behind = begun(CREATED, steps), [], []

    def take(*events):
        nonlocal state
        if state.parked and events[0].event != resumed("again").event:
            behind.extend(events)
            return
        made = move(state, events, steps)
        if made.state != state:
            # The order service and the last look before shipping exclude each other by a condition.
            if any(isinstance(request, ShipmentRequested) for request in made.requests) and world.order == "cancelled":
                last = next(one for one in (*world.way, *delivered) if isinstance(one.event, OrderCancelled))
                made = move(state, [*events, last], steps)
            state = made.state
            world.ask(made.requests)

    take(received(CREATED, 1))
    for _ in range(data.draw(st.integers(0, 12))):
        match data.draw(st.sampled_from(("deliver", "deliver", "deliver", "again", "due", "cancel"))):
            case "deliver" if world.way:
                one = world.way.pop(data.draw(st.integers(0, len(world.way) - 1)))
                delivered.append(one)
                take(one)
            case "again" if delivered:
                take(delivered[data.draw(st.integers(0, len(delivered) - 1))])
            case "due" if state.step in state.asked and not state.parked:
                take(due(state))
            case "cancel":
                world.cancel()
    for _ in range(40):
        if world.way:
            take(world.way.pop(0))
        elif state.parked:
            waited, behind = behind, []
            take(resumed("again"), *waited)
        elif state.step not in (FINISHED, UNDONE):
            take(due(state))

    held, kept = world.authorised - world.captured - world.released, world.captured - world.refunded
    if state.step == FINISHED:
        assert (held, kept, world.reserved, world.order, world.shipped) == (0, TOTAL, "sold", "confirmed", 1)
    else:
        assert (state.step, state.parked) == (UNDONE, None)
        assert (held, kept, world.order, world.shipped) == (0, 0, "cancelled", 0)
        assert world.reserved in ("", "refused", "released")
