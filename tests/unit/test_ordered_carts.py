"""What other services make of an order: its cart ends, and what is paid back stands in its history."""

from datetime import UTC, datetime, timedelta

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartConverted, CartIdle, CartLine, CartUpdated
from mesh.events.order import Command, OrderCreated, OrderRefunded
from mesh.events.payment import PaymentRefunded, PaymentState
from mesh.runtime.run import running
from mesh.timers import Timer
from services import carts, orders

TEA = CartLine(product_id="tea", quantity=2, price=Money(amount=1299, currency="EUR"))
NONE = Money(amount=0, currency="EUR")


def created(cart_id=None, order_id="o1"):
    return OrderCreated(
        order_id=order_id,
        lines=(TEA,),
        total=TEA.price * 2,
        payment_method="tok_visa",
        command=Command(key=order_id, body="b"),
        visitor_id="v1",
        cart_id=cart_id,
    )


def refunded(amount, order_id="o1"):
    paid = TEA.price * 2
    back = Money(amount=amount, currency="EUR")
    state = PaymentState(provider="sandbox", authorised=paid, captured=paid, released=NONE, refunded=back)
    return PaymentRefunded(payment_id=order_id, order_id=order_id, payment=state)


async def test_an_ordered_cart_has_become_its_order_and_its_timer_ends(mesh, eventually):
    """Once, however often the order is delivered; a cart that nobody ordered keeps its timer."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    for cart_id in ("c1", "c2"):
        updated = CartUpdated(cart_id=cart_id, visitor_id="v1", lines=(TEA,))
        await mesh.publish(updated, Timer(CartIdle(cart_id=cart_id, update_id="u"), soon))
    await mesh.publish(created("c1"))
    await mesh.publish(created())

    async with running(carts.service, Mesh(mesh.broker, "carts")):
        converted = await eventually(lambda: mesh.last(CartConverted, "c1"))

    waiting = [one.subject async for one in mesh.broker.read(mesh.commerce, ["timer.us.cart.idle.*"])]
    assert (converted.event.order_id, converted.event.visitor_id) == ("o1", "v1")
    assert waiting == ["timer.us.cart.idle.c2"]


async def test_refunds_are_a_part_of_the_orders_history(eventually):
    """The largest sum counts, whatever the order in which they come; of an order from elsewhere none is noted."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "orders")
    await mesh.publish(created())
    for event in (refunded(1299), refunded(2598), refunded(1299, "elsewhere"), refunded(2598)):
        await mesh.publish(event)

    async with running(orders.service, mesh, http=("127.0.0.1", 0)):
        await eventually(lambda: _refunded(mesh, 2598))
        await eventually(lambda: _all_handled(mesh))

    sums = [one.event.refunded.amount for one in await mesh.all_of(OrderRefunded, "o1")]
    assert sums in ([1299, 2598], [2598])
    assert await mesh.last(OrderRefunded, "elsewhere") is None


async def _refunded(mesh, amount):
    last = await mesh.last(OrderRefunded, "o1")
    return last and last.event.refunded.amount == amount


async def _all_handled(mesh):
    states = await mesh.broker.consumer_states(mesh.commerce, ["orders-note-refund"])
    return all(not one.pending and not one.ack_pending for one in states.values())
