"""The ledger of a flash sale: every kind of wrong that can be done to an order is counted, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh import Money, Received
from mesh.events.cart import CartLine
from mesh.events.checkout import CheckoutAdvanced
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.order import Command, OrderCancelled, OrderConfirmed, OrderCreated
from mesh.events.payment import PaymentCaptured, PaymentState
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import StockCommandApplied, StockReservationChanged, StockTaken
from services.demo.flash_sale.buyers import Placed
from services.demo.flash_sale.command import complaints
from services.demo.flash_sale.ledger import ZERO, draw_up, stuck
from services.demo.flash_sale.plan import Plan, Purchase, purchases, units
from services.demo.flash_sale.records import Records, read_books
from services.demo.payment_provider.books import Books, Charge, Order

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOTAL = Money(amount=1999, currency="EUR")
PLAN = Plan(
    orders=300,
    skus=4,
    seed=7,
    chaos="none",
    regions=("us", "eu"),
    nodes=1,
    rate=0,
    at_once=1,
    patience=timedelta(minutes=1),
)


class Sale:
    """A sale as it is recorded: orders that went well, to which a test adds what is wrong."""

    def __init__(self):
        self.records, self.placed, self._sequence = Records(), [], 0
        self.add(
            StockCommandApplied(command_id="c", command="receive", sku="tea", warehouse="w1", quantity=2, change=2)
        )

    def add(self, event, *, ms=0):
        self._sequence += 1
        stored = NOON + timedelta(milliseconds=ms)
        one = Received(
            event=event,
            id=f"e{self._sequence}",
            time=stored,
            stored=stored,
            region="us",
            sequence=self._sequence,
            subject="ev.us.x.y.o1",
        )
        self.records.events[type(event)].append(one)
        return one

    def acknowledged(self, order_id, *, seconds=0.01):
        purchase = Purchase(reference=order_id, region="us", lines={"tea": 1}, card="c", buyer="b")
        self.placed.append(Placed(purchase=purchase, seconds=seconds, attempts=1, order_id=order_id))

    def created(self, order_id):
        self.acknowledged(order_id)
        self.add(
            OrderCreated(
                order_id=order_id,
                lines=(CartLine(product_id="tea", quantity=1, price=TOTAL),),
                total=TOTAL,
                payment_method="c",
                command=Command(key=order_id, body="b"),
                reference=order_id,
            )
        )

    def step(self, order_id, step, *, ms=1000, parked=None):
        self.add(CheckoutAdvanced(order_id=order_id, step=step, total=TOTAL, payment_method="c", parked=parked), ms=ms)

    def sold(self, order_id, *, outcome="sold"):
        taken = (StockTaken(sku="tea", warehouse="w1", quantity=1),)
        self.add(
            StockReservationChanged(
                order_id=order_id, outcome=outcome, lines=(), taken=taken, answers="r", request_sequence=1
            )
        )

    def charged(self, order_id, captured=1999, **amounts):
        charge = {"authorised": 1999, "captured": captured, **amounts}
        self.records.charges.append(
            Charge(
                id=f"ch{len(self.records.charges)}",
                reference=order_id,
                order=order_id,
                region="us",
                currency="EUR",
                created=NOON,
                **charge,
            )
        )

    def captured(self, order_id):
        state = PaymentState(
            provider="sandbox", authorised=TOTAL, captured=TOTAL, released=TOTAL * 0, refunded=TOTAL * 0
        )
        self.add(PaymentCaptured(payment_id=order_id, order_id=order_id, payment=state))

    def confirmed(self, order_id):
        self.add(OrderConfirmed(order_id=order_id, lines=(), total=TOTAL))

    def shipped(self, order_id):
        self.add(ShipmentRequested(order_id=order_id, lines=()))

    def went_well(self, order_id):
        self.created(order_id)
        self.sold(order_id, outcome="reserved")
        for done in (self.confirmed, self.charged, self.captured, self.shipped, self.sold):
            done(order_id)
        self.step(order_id, "finished")

    def undone(self, order_id):
        self.created(order_id)
        self.sold(order_id, outcome="released")
        self.add(OrderCancelled(order_id=order_id, lines=(), amount=TOTAL, left=(), total=TOTAL * 0, by="checkout"))
        self.step(order_id, "undone", ms=2000)

    def wrong(self):
        found = draw_up(self.placed, self.records)
        return {name: getattr(found, name) for name in found.wrong}


@pytest.fixture
def sale():
    one = Sale()
    one.went_well("o1")
    one.went_well("o2")
    return one


def test_a_sale_that_went_well_has_nothing_to_complain_of(sale):
    """Two of two units are sold, each charged once; an order that was undone and given back is no fault."""
    sale.undone("o3")
    sale.charged("o3", captured=1999, refunded=1999)
    asked = sale.add(FraudCheckRequested(order_id="o1", amount=TOTAL))
    sale.add(FraudCleared(order_id="o1", score=0, answers=asked.id), ms=8)

    sale.records.shown = [timedelta(milliseconds=late) for late in (30, 10, 20)]
    ledger = draw_up(sale.placed, sale.records)

    assert msgspec.to_builtins(ledger) == {
        "orders": 3,
        "orders_per_s": 1.5,
        "confirmed": 2,
        "cancelled": 1,
        **dict.fromkeys(ZERO, 0),
        "p50_ms": 10.0,
        "p99_ms": 10.0,
        "fraud_flag_ms": {"p50": 8.0, "p99": 8.0},
        "status_shown_ms": {"p50": 20.0, "p99": 30.0},
    }
    assert complaints(sale.placed, sale.records) == []


@pytest.mark.parametrize(
    ("mishap", "counted"),
    [
        pytest.param(lambda sale: sale.went_well("o3"), {"oversold": 1}, id="a third unit of two"),
        pytest.param(lambda sale: sale.charged("o1"), {"double_charged": 1}, id="a second charge"),
        pytest.param(
            lambda sale: (sale.undone("o3"), sale.charged("o3")), {"charged_not_confirmed": 1}, id="kept money"
        ),
        pytest.param(
            lambda sale: (sale.undone("o3"), sale.charged("o3", captured=0)),
            {"charged_not_confirmed": 1},
            id="held money",
        ),
        pytest.param(lambda sale: sale.step("o2", "capture", ms=2000), {"stuck_sagas": 1}, id="one that goes on"),
        pytest.param(lambda sale: sale.created("o3"), {"stuck_sagas": 1}, id="one that never began"),
        pytest.param(lambda sale: sale.acknowledged("o3"), {"stuck_sagas": 1, "lost": 1}, id="one that is nowhere"),
        pytest.param(
            lambda sale: sale.records.events.pop(ShipmentRequested), {"lost": 2}, id="finished without a parcel"
        ),
        pytest.param(lambda sale: sale.records.charges.clear(), {"lost": 2}, id="finished without a charge"),
        pytest.param(lambda sale: sale.confirmed("o1"), {"duplicate_effects": 1}, id="confirmed twice"),
        pytest.param(lambda sale: sale.captured("o1"), {"duplicate_effects": 1}, id="reported as charged twice"),
        pytest.param(lambda sale: sale.shipped("o1"), {"duplicate_effects": 1}, id="sent twice"),
        pytest.param(lambda sale: sale.sold("o1"), {"duplicate_effects": 1}, id="sold twice"),
    ],
)
def test_what_went_wrong_is_counted(sale, mishap, counted):
    """One mishap among orders that went well is counted where it belongs."""
    mishap(sale)

    assert sale.wrong() == counted


def test_where_a_checkout_is_stuck_is_named(sale):
    """At which step, and whether it waits for an answer or for somebody's decision."""
    sale.step("o1", "capture")
    sale.step("o2", "sell", parked="sell: nobody answered 3 times")

    assert stuck(["o1", "o2"], sale.records) == {
        "o1": "capture, not answered",
        "o2": "sell, parked: sell: nobody answered 3 times",
    }


def test_the_same_seed_has_the_same_orders():
    """Regions take turns, some cards are declined, and of the hot SKU fewer units are received than are ordered."""
    made = purchases(PLAN)
    hot = sum(one.lines.get("sku-0", 0) for one in made)
    received = units(PLAN)

    assert made == purchases(PLAN) != purchases(replace(PLAN, seed=8))
    assert {one.region for one in made} == {"us", "eu"}
    assert 0 < sum(one.card == "card_declined" for one in made) < 60
    assert 0 < received["us"]["sku-0"] + received["eu"]["sku-0"] < hot


def test_one_sku_is_enough():
    """With a single SKU everybody wants that one."""
    assert {sku for one in purchases(replace(PLAN, skus=1)) for sku in one.lines} == {"sku-0"}


def test_charges_are_read_as_they_were_booked_last(tmp_path):
    """The provider's file has a line for each change; a sale without any payment has no file."""
    books = Books(tmp_path)
    asked = Order(reference="o1", order="o1", region="us", amount=1999, currency="EUR", method="card")
    charge = books.authorise(asked, "k1", "d1").charge
    books.change("capture", charge, 1999, "k2", "d2")
    books.close()

    assert [(one.id, one.captured) for one in read_books(tmp_path / "charges.jsonl")] == [(charge.id, 1999)]
    assert read_books(tmp_path / "none.jsonl") == []
