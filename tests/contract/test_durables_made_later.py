"""What a service that makes its durables while it runs is promised."""

from mesh.broker.protocol import Outgoing
from mesh.streams import ConsumerSpec

COMMERCE_US = "COMMERCE_us"
CARTS, ORDERS = "ev.us.cart.updated.*", "ev.us.order.placed.*"


async def test_a_durable_begins_when_it_is_made_and_goes_on_when_it_is_changed(broker):
    """It delivers what is stored from then on; what it delivers may change, and where it is stays."""

    async def store(subject):
        await broker.store(COMMERCE_US, Outgoing(subject=subject, body=subject.encode()))

    async def delivered(spec, count):
        await broker.make_durable(spec)
        deliveries, found = await broker.deliveries(spec), []
        while len(found) < count:
            for message in await deliveries.fetch(count - len(found), 1):
                await message.ack()
                found.append(message.subject)
        assert await deliveries.fetch(10, 0.2) == []
        await deliveries.release()
        await deliveries.close()
        return found

    carts = ConsumerSpec(stream=COMMERCE_US, durable="functions-count", filters=(CARTS,), deliver_new=True)
    both = ConsumerSpec(stream=COMMERCE_US, durable="functions-count", filters=(CARTS, ORDERS), deliver_new=True)
    await store("ev.us.cart.updated.before")
    assert await delivered(carts, 0) == []
    await store("ev.us.cart.updated.a")
    assert await delivered(carts, 1) == ["ev.us.cart.updated.a"]
    await store("ev.us.cart.updated.b")
    assert await delivered(both, 1) == ["ev.us.cart.updated.b"]
    await store("ev.us.order.placed.c")
    assert await delivered(both, 1) == ["ev.us.order.placed.c"]
    assert await delivered(both, 0) == []
