"""What a consumer promises."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.protocol import Outgoing

COMMERCE_US = "COMMERCE_us"
CARTS = ("ev.us.cart.updated.*",)


@pytest.fixture
def store(broker):
    """Store updates of carts by key."""

    async def stored(*keys):
        for key in keys:
            await broker.store(COMMERCE_US, Outgoing(subject=f"ev.us.cart.updated.{key}", body=key.encode()))

    return stored


@pytest.fixture
def durable(ground):
    """A durable for carts with a short ack_wait."""

    async def made(**options):
        chosen = {"stream": COMMERCE_US, "durable": "carts-fold", "filters": CARTS, "ack_wait": timedelta(seconds=30)}
        return await ground.durable(**{**chosen, **options})

    return made


async def gather(deliveries, count, *, within=60.0, each=None):
    """The first `count` messages, acknowledged unless `each` answers them otherwise."""
    found = []
    async with asyncio.timeout(within):
        while len(found) < count:
            for message in await deliveries.fetch(count - len(found), 1):
                await (each or type(message).ack)(message)
                found.append(message)
    return found


async def nothing(deliveries, wait=0.3):
    return await deliveries.fetch(10, wait) == []


async def test_everything_is_delivered_in_order(broker, durable, store):
    """What was stored before and after binding arrives in order, with its place."""
    await store("a", "b")
    deliveries = await broker.deliveries(await durable())
    await store("c")

    messages = await gather(deliveries, 3)

    assert [(m.body, m.sequence, m.attempt) for m in messages] == [(b"a", 1, 1), (b"b", 2, 1), (b"c", 3, 1)]
    assert messages[0].stored.utcoffset() == timedelta(0)


async def test_only_what_passes_the_filters_is_delivered(broker, durable, store):
    """A consumer may have several filters; the rest is never seen."""
    deliveries = await broker.deliveries(await durable(filters=("ev.us.order.*.*", "ev.us.cart.updated.*")))
    await broker.store(COMMERCE_US, Outgoing(subject="ev.us.cart.closed.x", body=b"closed"))
    await broker.store(COMMERCE_US, Outgoing(subject="ev.us.order.placed.o", body=b"placed"))
    await store("a")

    messages = await gather(deliveries, 2)

    assert [m.body for m in messages] == [b"placed", b"a"]


async def test_nothing_to_deliver_is_an_empty_list_after_the_wait(broker, durable):
    """`fetch` gives up after its wait."""
    deliveries = await broker.deliveries(await durable())
    started = asyncio.get_running_loop().time()

    assert await deliveries.fetch(10, 0.2) == []

    assert 0.19 <= asyncio.get_running_loop().time() - started < 10


async def test_a_waiting_fetch_returns_as_soon_as_there_is_one(broker, durable, store):
    """`fetch` does not wait for more than one."""
    deliveries = await broker.deliveries(await durable())
    started = asyncio.get_running_loop().time()
    waiting = asyncio.create_task(deliveries.fetch(10, 20))
    await asyncio.sleep(0)
    await store("a")

    messages = await waiting

    assert [m.body for m in messages] == [b"a"]
    assert asyncio.get_running_loop().time() - started < 10


async def test_acknowledged_messages_do_not_come_back(broker, durable, store):
    """After the ack and the ack_wait there is nothing more; another binding begins behind it."""
    spec = await durable(ack_wait=timedelta(milliseconds=500))
    await store("a", "b")
    deliveries = await broker.deliveries(spec)
    await gather(deliveries, 2)

    assert await nothing(deliveries, 0.8)

    await deliveries.close()
    assert await nothing(await broker.deliveries(spec))


async def test_an_unanswered_message_comes_again_after_ack_wait(broker, durable, store):
    """Without an answer it is delivered again, and its attempts count up."""
    deliveries = await broker.deliveries(await durable(ack_wait=timedelta(milliseconds=500)))
    await store("a")
    (first,) = await deliveries.fetch(1, 20)

    (second,) = await deliveries.fetch(1, 20)
    await second.ack()

    assert (first.attempt, second.attempt) == (1, 2)
    assert second.sequence == first.sequence
    assert await nothing(deliveries, 0.6)


async def test_a_nak_brings_it_again_after_its_delay_and_not_before(broker, durable, store):
    """`nak(delay)` delivers again after the delay, long before ack_wait."""
    deliveries = await broker.deliveries(await durable())
    await store("a")
    (first,) = await deliveries.fetch(1, 20)
    clock = asyncio.get_running_loop().time
    started = clock()
    await first.nak(timedelta(milliseconds=400))

    (second,) = await deliveries.fetch(1, 20)
    await second.ack()

    assert 0.35 <= clock() - started < 4
    assert second.attempt == 2


async def test_a_nak_without_delay_brings_it_again_at_once(broker, durable, store):
    """A delay of nothing is now."""
    deliveries = await broker.deliveries(await durable())
    await store("a")
    (first,) = await deliveries.fetch(1, 20)
    await first.nak(timedelta(0))

    (second,) = await deliveries.fetch(1, 20)

    assert second.attempt == 2


async def test_a_waiting_message_does_not_hold_up_the_others(broker, durable, store):
    """A message that was given back with a delay lets newer ones pass."""
    deliveries = await broker.deliveries(await durable())
    await store("a", "b")
    (first,) = await deliveries.fetch(1, 20)
    await first.nak(timedelta(milliseconds=300))

    messages = await gather(deliveries, 2)

    assert [m.body for m in messages] == [b"b", b"a"]


async def test_progress_buys_another_ack_wait(broker, durable, store):
    """A slow handler that says so keeps its message."""
    deliveries = await broker.deliveries(await durable(ack_wait=timedelta(seconds=1)))
    await store("a")
    (message,) = await deliveries.fetch(1, 20)

    for _ in range(6):
        await message.progress()
        assert await nothing(deliveries, 0.2)
    await message.ack()

    assert await nothing(deliveries, 1.1)


async def test_several_receivers_share_a_durable(ground, durable, store):
    """Every message goes to one of them, none to two."""
    spec = await durable()
    brokers = [await ground.connect() for _ in range(2)]
    receivers = [await broker.deliveries(spec) for broker in brokers]
    seen: list[list[bytes]] = [[], []]

    async def receive(at):
        while sum(map(len, seen)) < 200:
            for message in await receivers[at].fetch(5, 0.2):
                await message.ack()
                seen[at].append(message.body)

    receiving = [asyncio.create_task(receive(at)) for at in range(2)]
    await store(*(f"c{at}" for at in range(200)))
    async with asyncio.timeout(60):
        await asyncio.gather(*receiving)

    assert sorted(seen[0] + seen[1]) == sorted(f"c{at}".encode() for at in range(200))
    assert all(seen)


async def test_what_a_closed_receiver_left_goes_to_another(ground, broker, durable, store):
    """A receiver that closes without answering: another one gets its messages after ack_wait."""
    spec = await durable(ack_wait=timedelta(milliseconds=500))
    await store("a", "b", "c")
    gone = await broker.deliveries(spec)
    assert await gone.fetch(3, 20)
    await gone.close()

    messages = await gather(await (await ground.connect()).deliveries(spec), 3)

    assert sorted(m.body for m in messages) == [b"a", b"b", b"c"]


async def test_a_closed_receiver_gives_nothing_more(broker, durable, store):
    """After `close` a fetch is empty, and closing again is harmless."""
    deliveries = await broker.deliveries(await durable())
    await deliveries.close()
    await store("a")

    assert await nothing(deliveries, 0.2)
    await deliveries.close()


async def test_a_released_receiver_leaves_the_rest_to_others_at_once(ground, broker, durable, store):
    """What a receiver had received ahead is not held back until ack_wait is over."""
    spec = await durable(ack_wait=timedelta(minutes=10))
    await store(*(f"c{at}" for at in range(20)))
    first = await broker.deliveries(spec)
    (message,) = await first.fetch(1, 20)
    await message.ack()

    await first.release()
    await first.close()
    rest = await gather(await (await ground.connect()).deliveries(spec), 19)

    assert sorted(m.body for m in [message, *rest]) == sorted(f"c{at}".encode() for at in range(20))


async def test_a_released_receiver_gives_back_what_arrives_meanwhile(ground, broker, durable, store):
    """What the server delivers while a receiver is being released is not held back until ack_wait is over either."""
    spec = await durable(max_ack_pending=1000, ack_wait=timedelta(minutes=10))
    first = await broker.deliveries(spec)
    bodies = [f"c{at}" for at in range(200)]
    await store(bodies[0])
    (message,) = await first.fetch(100, 20)
    await message.ack()

    storing = [asyncio.create_task(store(body)) for body in bodies[1:]]
    await asyncio.wait(storing, return_when=asyncio.FIRST_COMPLETED)
    await first.release()
    await first.close()
    await asyncio.gather(*storing)
    rest = await gather(await (await ground.connect()).deliveries(spec), 199)

    assert sorted(m.body for m in [message, *rest]) == sorted(body.encode() for body in bodies)


async def test_what_was_received_ahead_is_kept(broker, durable, store):
    """With `keep` nothing that waits in the receiver is delivered a second time."""
    deliveries = await broker.deliveries(await durable(ack_wait=timedelta(seconds=1)))
    await store(*"abc")
    (first,) = await deliveries.fetch(1, 20)
    for _ in range(6):
        await first.progress()
        await deliveries.keep()
        await asyncio.sleep(0.25)
    await first.ack()

    rest = await gather(deliveries, 2)

    assert [(m.body, m.attempt) for m in rest] == [(b"b", 1), (b"c", 1)]


async def test_at_most_so_many_are_unanswered(ground, broker, durable, store):
    """`max_ack_pending` bounds what is out; an ack lets the next one out."""
    deliveries = await broker.deliveries(await durable(max_ack_pending=2))
    await store("a", "b", "c")
    out = await gather(deliveries, 2, each=lambda _: asyncio.sleep(0))
    assert await nothing(deliveries)

    await out[0].ack()

    (third,) = await deliveries.fetch(1, 20)
    assert third.body == b"c"


async def test_a_new_only_durable_begins_now(broker, durable, store):
    """`deliver_new` skips what was there before it was made."""
    await store("before")
    deliveries = await broker.deliveries(await durable(deliver_new=True))
    await store("after")

    (message,) = await gather(deliveries, 1)

    assert message.body == b"after"


async def test_two_durables_receive_everything_each(broker, durable, store):
    """Durables do not take from each other."""
    one, two = await durable(durable="one"), await durable(durable="two")
    await store("a")

    received = [await gather(await broker.deliveries(spec), 1) for spec in (one, two)]

    assert [[m.body for m in found] for found in received] == [[b"a"], [b"a"]]


async def test_pending_counts_what_is_still_behind(broker, durable, store):
    """The last message of a backlog says that none is behind it."""
    await store(*"abcde")
    deliveries = await broker.deliveries(await durable())

    messages = await gather(deliveries, 5)

    assert messages[-1].pending == 0
    assert all(m.pending <= 4 for m in messages)


async def test_a_removed_message_is_not_delivered_again(broker, durable, eventually):
    """What expired while it was given back does not return."""
    deliveries = await broker.deliveries(await durable(ack_wait=timedelta(milliseconds=500)))
    await broker.store(COMMERCE_US, Outgoing(subject="ev.us.cart.updated.a", body=b"a", ttl=timedelta(seconds=1)))
    (message,) = await deliveries.fetch(1, 20)
    await message.nak(timedelta(seconds=1.7))

    async def gone():
        return await broker.last(COMMERCE_US, "ev.us.cart.updated.a") is None

    await eventually(gone)
    assert await nothing(deliveries, 1.5)


async def test_following_begins_now(broker, store):
    """A follower without `since` receives only what is new, without acknowledging."""
    await store("before")
    following = await broker.follow(COMMERCE_US, CARTS, None)
    await store("a", "b")

    messages = await gather(following, 2, each=lambda _: asyncio.sleep(0))

    assert [m.body for m in messages] == [b"a", b"b"]
    assert await nothing(following)
    await following.close()


async def test_following_from_a_time(broker, store, eventually):
    """A follower with `since` receives what was stored from then on, then what is new."""
    await store("old")
    old = (await broker.last(COMMERCE_US, ">")).stored
    await eventually(lambda: datetime.now(UTC) > old + timedelta(milliseconds=20))
    since = datetime.now(UTC) - timedelta(milliseconds=5)
    await store("a")
    following = await broker.follow(COMMERCE_US, CARTS, since)
    await store("b")

    messages = await gather(following, 2, each=lambda _: asyncio.sleep(0))

    assert [m.body for m in messages] == [b"a", b"b"]


async def test_followers_are_private(broker, durable, store):
    """Every follower receives everything, beside the durables."""
    followers = [await broker.follow(COMMERCE_US, CARTS, None) for _ in range(2)]
    await store("a")

    received = [await gather(each, 1, each=lambda _: asyncio.sleep(0)) for each in followers]

    assert [[m.body for m in found] for found in received] == [[b"a"], [b"a"]]
    assert len(await gather(await broker.deliveries(await durable()), 1)) == 1
