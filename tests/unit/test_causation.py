"""What follows from an event names it as its cause, whether anything is traced or not."""

import asyncio

import pytest

from mesh.envelope import Received
from mesh.events.cart import CartClosed, CartIdle
from mesh.events.offer import OfferDue
from mesh.mesh import Mesh
from mesh.observability import tracing
from mesh.publish import Cause, Draft
from mesh.runtime.run import running
from mesh.service import Service

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(params=["traced", "sampled away", "untraced"])
def traced(request):
    """Spans are recorded, or all are sampled away, or nobody listens."""
    if request.param != "untraced":
        tracing.record_with(lambda _: None, lambda *_: request.param == "traced")
    yield
    tracing.record_with(None)


async def test_causes_do_not_depend_on_tracing(mesh, traced, eventually):
    """What a handler yields and what it publishes itself, also in a task of its own, carry the event's id as cause."""
    service = Service("closer", publishes=(CartClosed, OfferDue))

    @service.on(CartIdle)
    async def close_cart(idle: CartIdle, mesh: Mesh):
        await mesh.publish(
            OfferDue(run_id=idle.cart_id, cart_id=idle.cart_id, journey="j", abandonment_id="direct", attempt=1)
        )
        task = asyncio.create_task(
            mesh.publish(
                OfferDue(run_id=idle.cart_id, cart_id=idle.cart_id, journey="j", abandonment_id="task", attempt=2)
            )
        )
        await task
        yield CartClosed(cart_id=idle.cart_id, visitor_id="v", order_id="o", region="us")

    async with running(service, mesh):
        await mesh.commit(
            [Draft(event=CartIdle(cart_id="c1", update_id="u"), id="e1")],
            Cause(id="e1", source="x", traceparent=PARENT),
        )
        closed = await eventually(lambda: mesh.last(CartClosed, "c1"))

    dues = [received async for received in mesh.read(OfferDue)]
    assert closed.cause == "e1"
    assert [(due.event.abandonment_id, due.cause) for due in dues] == [("direct", "e1"), ("task", "e1")]


async def test_a_batch_of_several_events_is_no_single_cause(mesh, traced, eventually):
    """Of many events none is the cause by itself; a batch of one is caused by it."""
    service, sizes = Service("closer", publishes=(CartClosed,)), []

    @service.on(CartIdle, batch=8)
    async def close_carts(idles: list[Received[CartIdle]]):
        sizes.append(len(idles))
        yield CartClosed(cart_id=idles[0].event.cart_id, visitor_id="v", order_id="o", region="us")

    await mesh.publish(*(CartIdle(cart_id=key, update_id="u") for key in ("c1", "c2")))
    async with running(service, mesh):
        first = await eventually(lambda: mesh.last(CartClosed, "c1"))
        await mesh.commit([Draft(event=CartIdle(cart_id="c3", update_id="u"), id="e3")], Cause(id="e3", source="x"))
        second = await eventually(lambda: mesh.last(CartClosed, "c3"))

    assert sizes == [2, 1]
    assert (first.cause, second.cause) == (None, "e3")


async def test_outside_of_a_handler_there_is_no_cause(mesh, traced):
    """What nobody's event led to begins by itself."""
    await mesh.publish(CartIdle(cart_id="c1", update_id="u"))

    assert (await mesh.last(CartIdle, "c1")).cause is None


def _due(cart: str, abandonment: str) -> OfferDue:
    return OfferDue(run_id=cart, cart_id=cart, journey="j", abandonment_id=abandonment, attempt=1)
