"""The orders page: search, the checkout as a picture, the order as it was, and decisions about what waits."""

import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine
from mesh.events.checkout import CheckoutAdvanced, CheckoutResumed
from mesh.events.code import Discount, OrderCode
from mesh.events.console import ConsoleChanged
from mesh.events.fraud import FraudCleared
from mesh.events.order import Command, OrderConfirmed, OrderCreated
from mesh.events.payment import PaymentFlagged
from mesh.events.shipment import ShipmentDispatched
from mesh.events.stock import StockReservationChanged
from mesh.runtime.run import running
from services import checkout
from services.checkout.saga import begun, move
from services.checkout.steps import CheckoutSettings, table
from services.orders import views
from services.orders.views.entries import entries
from services.orders.views.index import OrderIndex
from services.orders.views.picture import AFTER, FORWARD, UNDO, picture

TOTAL = Money(amount=2598, currency="EUR")
STEPS = table(CheckoutSettings())


def created(order_id="o1", **fields):
    tea = CartLine(product_id="tea", quantity=2, price=Money(amount=1299, currency="EUR"), name="Green tea")
    command = Command(key=order_id, body="b")
    return OrderCreated(
        order_id=order_id, lines=(tea,), total=TOTAL, payment_method="tok_visa", command=command, **fields
    )


def reserved(order_id="o1"):
    return StockReservationChanged(
        order_id=order_id, outcome="reserved", lines=(), taken=(), answers="r", request_sequence=1
    )


def flagged(order_id="o1"):
    reasons = ("3 orders of one card in 1m",)
    return PaymentFlagged(order_id=order_id, score=120, rules=("card",), reasons=reasons, answers="r")


async def states(mesh, *events):
    """The `checkout.advanced` of an order after each of these events, stored."""
    state = begun(created(), STEPS)
    for event in events:
        await mesh.publish(event)
        stored = await mesh.last(type(event), event.order_id)
        state = move(state, [stored], STEPS).state
        await mesh.publish(state)
    return await mesh.all_of(CheckoutAdvanced, "o1")


async def stored(mesh, state):
    await mesh.publish(state)
    return await mesh.last(CheckoutAdvanced, state.order_id)


def shown(boxes):
    return [(box.title, box.state) for box in boxes]


@pytest.fixture
async def shop(monkeypatch, eventually):
    """The read side with its page, and the checkout."""
    regions = MemoryMesh("us")
    brokers = [regions.broker("us") for _ in range(3)]
    reading, saga, mesh = (
        Mesh(broker, name) for broker, name in zip(brokers, ("order-views", "checkout", "tests"), strict=True)
    )
    async with (
        running(views.service, reading, http=("127.0.0.1", 0)) as run,
        running(checkout.service, saga),
    ):
        index = run.provided[OrderIndex]
        await eventually(lambda: index.unready() is None)
        yield mesh, run.port, index, eventually
    for broker in brokers:
        await broker.drain()


def test_the_picture_has_every_step_of_the_checkout_in_its_order():
    """What the page calls the steps is declared beside it, so a step that is added must be named there."""
    assert list(FORWARD) == [step.name for step in STEPS.forward]
    assert list(AFTER) == [step.name for step in STEPS.after]
    assert list(UNDO) == [step.name for step in STEPS.undo]


async def test_a_checkout_under_way_is_done_up_to_where_it_is(mesh):
    """With what was answered under each step."""
    made = picture(await states(mesh, created(), reserved(), FraudCleared(order_id="o1", score=0, answers="r")))

    assert [box.state for box in made.forward] == ["done", "done", "now", *["later"] * 4]
    assert [box.answer for box in made.forward[:3]] == ["stock reserved", "fraud cleared", ""]
    assert (made.undo, made.summary) == ((), "The checkout is at “Hold the money”.")


async def test_a_checkout_that_fails_shows_what_undoes_it(mesh):
    """Nothing was charged, so only the stock is given back."""
    refused = await states(mesh, created(), reserved(), flagged())
    parked = refused[-1]
    await mesh.publish(CheckoutResumed(order_id="o1", decision="undo", reason="fraud"))
    decision = await mesh.last(CheckoutResumed, "o1")
    await mesh.publish(move(parked.event, [decision], STEPS).state)

    made = picture(await mesh.all_of(CheckoutAdvanced, "o1"))

    assert shown(made.forward)[:3] == [
        ("Reserve the stock", "done"),
        ("Check for fraud", "failed"),
        ("Hold the money", "skipped"),
    ]
    assert [state for _, state in shown(made.undo)] == ["skipped", "now", "later"]
    assert picture(refused).parked == "Check for fraud: payment flagged"


async def test_only_an_order_with_a_code_shows_what_becomes_of_it(mesh):
    """Kept before the payment, and redeemed after the confirmation."""
    code = OrderCode(code_id="c", home="us", discount=Discount(percent=10), off=Money(amount=260, currency="EUR"))
    plain, coded = [picture([await stored(mesh, begun(one, STEPS))]) for one in (created(), created("o2", code=code))]

    more = [box.title for box in coded.forward if box.title not in [one.title for one in plain.forward]]
    assert more == ["Keep the code", "Redeem the code"]
    assert [box.title for box in coded.forward][1] == "Keep the code"


def test_an_order_without_a_checkout_has_no_picture():
    """Such as one that the shop's own server reports."""
    assert picture([]) is None


async def test_a_history_line_names_the_facts(mesh):
    """Amounts with their currency, steps and reasons in words, and the number by which a parcel is tracked."""
    await mesh.publish(created())
    await mesh.publish(flagged())
    await mesh.publish(ShipmentDispatched(order_id="o1", carrier="DHL", tracking="JD1"))

    (first, second, third) = entries(await mesh.history("o1", "order", "payment", "shipment"))

    assert (first.title, first.facts) == ("Order created", (("total", "25.98 EUR"),))
    assert dict(second.facts) == {"score": "120", "reasons": "3 orders of one card in 1m"}
    assert (third.title, dict(third.facts)) == ("Shipment dispatched", {"carrier": "DHL", "tracking": "JD1"})


async def test_orders_are_found_by_what_a_shop_knows_of_them(shop, staff):
    """The reference, the customer, a product, the status; and nothing that does not match."""
    mesh, port, index, eventually = shop
    await mesh.publish(created("o1", customer_id="k1", reference="R-1"))
    await mesh.publish(created("o2", customer_id="k2"))
    await eventually(lambda: len(index.search(lambda _: True, 9)) == 2)
    vi = await staff(mesh, port, "viewer")

    async def found(query):
        text = (await vi.get(f"/orders?{query}")).text
        return {order for order in ("o1", "o2") if f'href="/orders/{order}"' in text}

    assert await found("") == {"o1", "o2"}
    assert [await found(f"q={q}") for q in ("R-1", "k2", "o1")] == [{"o1"}, {"o2"}, {"o1"}]
    assert [await found(f"q={q}") for q in ("tea", "coffee")] == [{"o1", "o2"}, set()]
    assert await found("status=cancelled") == set()
    assert (await vi.get("/orders/none")).status_code == 404
    assert (await vi.get("/orders/o1?at=yesterday")).status_code == 400


async def test_an_order_is_shown_as_it_was(shop, staff):
    """At the moment of each event of its history."""
    mesh, port, _, eventually = shop
    await mesh.publish(created("o9"))
    await eventually(lambda: _last_step(mesh, "o9", "reserve"))
    await mesh.publish(OrderConfirmed(order_id="o9", lines=(), total=TOTAL))
    vi = await staff(mesh, port, "viewer")
    at = (await mesh.last(OrderCreated, "o9")).stored.isoformat()

    now, then = (await vi.get("/orders/o9")).text, (await vi.get(f"/orders/o9?at={at}")).text

    assert ('data-status="confirmed"' in now, 'data-status="created"' in then) == (True, True)
    assert "as it was at" in then
    assert "as it was at" not in now


async def test_somebody_decides_about_a_parked_checkout(shop, staff):
    """A reviewer by the form, a viewer not; the decision is an event, and so is that it was made in the console."""
    mesh, port, _, eventually = shop
    await mesh.publish(created())
    await eventually(lambda: _last_step(mesh, "o1", "reserve"))
    await mesh.publish(reserved())
    await mesh.publish(flagged())
    await eventually(lambda: _is_parked(mesh, "o1"))
    vi, rev = await staff(mesh, port, "viewer"), await staff(mesh, port, "reviewer")

    listed = (await rev.get("/orders")).text
    form = {"page": "/orders/o1", "decision": "accept", "reason": "called the customer"}
    refused = await vi.send("/orders/o1/decision", **form)
    taken = await rev.send("/orders/o1/decision", **form)
    await eventually(lambda: _last_step(mesh, "o1", "authorise"))
    late = await rev.send("/orders/o1/decision", **{**form, "page": "/orders"})

    assert "Waiting for a decision" in listed
    assert "Check for fraud: payment flagged" in listed
    assert (refused.status_code, taken.status_code, late.status_code) == (403, 303, 409)
    resumed = (await mesh.last(CheckoutResumed, "o1")).event
    assert (resumed.decision, resumed.reason, resumed.step) == ("accept", "called the customer", "check")
    changed = [one.event async for one in mesh.read(ConsoleChanged)]
    assert [(one.action, one.subject, one.details) for one in changed] == [
        ("decide-checkout", "o1", {"decision": "accept"})
    ]
    assert resumed.author == changed[0].account_id


async def _last_step(mesh, order_id, step):
    last = await mesh.last(CheckoutAdvanced, order_id)
    return last is not None and last.event.step == step


async def _is_parked(mesh, order_id):
    last = await mesh.last(CheckoutAdvanced, order_id)
    return last is not None and last.event.parked is not None
