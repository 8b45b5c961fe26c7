"""The webhook that a mesh on one machine has from its start, and the receiver that shows what it gets."""

from litestar.testing import AsyncTestClient

from mesh import Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed
from mesh.runtime.serving import serving
from services.demo.webhook_receiver.app import app

LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))


async def test_what_happens_is_shown_by_the_receiver(open_place, eventually):
    """Of every region, by one webhook; deleted, it does not come back."""
    receiver = app()
    async with serving(receiver, "127.0.0.1", 0) as port, AsyncTestClient(receiver) as client:
        first = f"http://127.0.0.1:{port}/partner"
        us = await open_place(MemoryMesh("us", "eu"), WEBHOOK_FIRST=first)
        eu = await open_place(us.regions, "eu", WEBHOOK_FIRST=first)
        await us.mesh.publish(OrderConfirmed(order_id="o1", lines=(LINE,), total=LINE.price))
        await us.noted("delivered")
        page = (await client.get("/")).text
        await us.managing.delete("whfirst", "tests")
        await eventually(lambda: not eu.managing.webhooks.by_id)
        again = await open_place(us.regions, WEBHOOK_FIRST=first)

    assert ("order.confirmed.v1" in page, "webhook-signature" in page) == (True, True)
    assert list(again.managing.webhooks) == []


async def test_the_receiver_shows_what_is_no_cloudevent_as_it_is():
    """And says what came twice."""
    async with AsyncTestClient(app()) as client:
        empty = (await client.get("/")).text
        for _ in range(2):
            assert (await client.post("/x/y", content=b"<b>&", headers={"webhook-id": "1"})).json()
        page = (await client.get("/")).text

    assert "Nothing has come yet" in empty
    assert ("&lt;b&gt;&amp;" in page, page.count("came before"), "/x/y" in page) == (True, 1, True)
