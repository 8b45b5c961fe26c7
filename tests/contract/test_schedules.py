"""What a timer promises."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.protocol import Expect, Outgoing
from mesh.errors import Conflict, DeclarationError

COMMERCE_US = "COMMERCE_us"
TIMER = "timer.us.cart.idle.c1"
IDLE = "ev.us.cart.idle.c1"


def soon(milliseconds=300):
    return datetime.now(UTC) + timedelta(milliseconds=milliseconds)


def timer(at, body=b"idle", subject=TIMER, target=IDLE, **options):
    return Outgoing(subject=subject, body=body, at=at, target=target, **options)


def updated(key="c1", **options):
    return Outgoing(subject=f"ev.us.cart.updated.{key}", body=b"", **options)


@pytest.fixture
def fired(broker, eventually):
    """The message under IDLE once it is there."""
    return lambda: eventually(lambda: broker.last(COMMERCE_US, IDLE))


async def test_a_timer_fires_on_its_target_and_is_gone(broker, fired):
    """It waits on its own subject, is published with the same body when due and not before, and disappears."""
    due = soon()
    await broker.store(COMMERCE_US, timer(due))
    assert (await broker.last(COMMERCE_US, TIMER)).body == b"idle"

    message = await fired()

    assert message.body == b"idle"
    assert message.stored >= due - timedelta(milliseconds=1)
    assert message.headers["Nats-Scheduler"] == TIMER
    assert await broker.last(COMMERCE_US, TIMER) is None


async def test_a_timer_that_is_already_due_fires_at_once(broker, fired):
    """A time in the past is now."""
    await broker.store(COMMERCE_US, timer(soon(-60_000)))

    assert (await fired()).body == b"idle"


async def test_a_newer_timer_replaces_the_pending_one(broker, fired):
    """There is one timer per subject: only the last one stored fires."""
    await broker.store(COMMERCE_US, timer(soon(600), b"old", id="a"))
    await broker.store(COMMERCE_US, timer(soon(800), b"new", id="b"))

    message = await fired()

    assert message.body == b"new"
    assert [m.body async for m in broker.read(COMMERCE_US, [IDLE, TIMER])] == [b"new"]


async def test_an_event_cancels_a_timer_in_its_own_commit(broker, fired):
    """After the event is stored the timer is gone and never fires."""
    await broker.store(COMMERCE_US, timer(soon(600), b"cancelled"))
    await broker.store(COMMERCE_US, updated(cancels=TIMER))
    assert await broker.last(COMMERCE_US, TIMER) is None

    await broker.store(COMMERCE_US, timer(soon(800), b"later", subject=f"{TIMER}-later"))

    assert (await fired()).body == b"later"
    assert [m.body async for m in broker.read(COMMERCE_US, [IDLE])] == [b"later"]


async def test_cancelling_nothing_is_harmless(broker):
    """An event may cancel a timer that does not exist."""
    assert (await broker.store(COMMERCE_US, updated(cancels=TIMER))).sequence == 1


async def test_an_event_and_its_timer_are_one_commit(broker, fired):
    """A batch of an event and a timer stores both, and the timer fires."""
    stored = await broker.store_batch(COMMERCE_US, [updated(), timer(soon())])

    assert stored.sequence == 2
    assert (await fired()).sequence == 3


async def test_a_refused_batch_leaves_the_timer_alone(broker, fired):
    """When a condition fails, neither the cancellation nor the replacement in that batch happens."""
    await broker.store_batch(COMMERCE_US, [updated(), timer(soon(), b"first")])
    stale = Expect(subject="ev.us.cart.updated.c1", sequence=0)

    with pytest.raises(Conflict):
        await broker.store_batch(COMMERCE_US, [updated(expect=stale, cancels=TIMER), timer(soon(5000), b"second")])

    assert (await fired()).body == b"first"


async def test_a_batch_cancels_a_timer(broker, fired):
    """An order and its conversion kill the timer in their commit."""
    await broker.store(COMMERCE_US, timer(soon(600), b"cancelled"))

    await broker.store_batch(COMMERCE_US, [updated(cancels=TIMER), updated("c2")])

    assert await broker.last(COMMERCE_US, TIMER) is None
    await broker.store(COMMERCE_US, timer(soon(800), b"later", subject=f"{TIMER}-later"))
    assert (await fired()).body == b"later"


async def test_a_batch_replaces_a_timer(broker, fired):
    """A newer cart moves its timer in its own commit."""
    await broker.store_batch(COMMERCE_US, [updated(), timer(soon(600), b"old")])

    await broker.store_batch(COMMERCE_US, [updated(), timer(soon(800), b"new")])

    assert (await fired()).body == b"new"


async def test_a_timer_may_be_conditional(broker, fired):
    """A schedule carries a condition like any message: true it waits, false it is refused."""
    empty = Expect(subject="ev.us.cart.updated.c1", sequence=0)
    await broker.store(COMMERCE_US, timer(soon(), expect=empty))
    await broker.store(COMMERCE_US, updated())

    with pytest.raises(Conflict):
        await broker.store(COMMERCE_US, timer(soon(60_000), b"refused", expect=empty))

    assert (await fired()).body == b"idle"


async def test_a_timer_expects_itself(broker, fired):
    """A condition on the timer's own subject guards its replacement."""
    first = await broker.store(COMMERCE_US, timer(soon(60_000), b"first", expect=Expect(subject=TIMER, sequence=0)))
    with pytest.raises(Conflict):
        await broker.store(COMMERCE_US, timer(soon(60_000), b"refused", expect=Expect(subject=TIMER, sequence=0)))

    await broker.store(COMMERCE_US, timer(soon(), b"second", expect=Expect(subject=TIMER, sequence=first.sequence)))

    assert (await fired()).body == b"second"


async def test_a_timer_with_a_seen_id_is_a_duplicate(broker):
    """A retried schedule neither replaces nor doubles the pending one."""
    first = await broker.store(COMMERCE_US, timer(soon(60_000), b"first", id="a"))

    again = await broker.store(COMMERCE_US, timer(soon(60_000), b"again", id="a"))

    assert (again.duplicate, again.sequence) == (True, first.sequence)
    assert (await broker.last(COMMERCE_US, TIMER)).body == b"first"


async def test_a_duplicate_cancels_nothing(broker):
    """A retried event does not kill the timer that was set after its first attempt."""
    await broker.store(COMMERCE_US, updated(id="a", cancels=TIMER))
    await broker.store(COMMERCE_US, timer(soon(60_000)))

    assert (await broker.store(COMMERCE_US, updated(id="a", cancels=TIMER))).duplicate

    assert await broker.last(COMMERCE_US, TIMER) is not None


async def test_a_timer_fires_whatever_happened_on_its_target(broker, fired, eventually):
    """The fired event is one more on its subject."""
    await broker.store(COMMERCE_US, Outgoing(subject=IDLE, body=b"earlier"))
    await broker.store(COMMERCE_US, timer(soon(), b"due"))

    async def bodies():
        found = [message.body async for message in broker.read(COMMERCE_US, [IDLE])]
        return found if len(found) > 1 else None

    assert await eventually(bodies) == [b"earlier", b"due"]


async def test_a_timer_that_fell_due_while_nobody_listened_is_delivered(ground, broker, fired):
    """Who comes later finds what fired meanwhile."""
    spec = await ground.durable(stream=COMMERCE_US, durable="late", filters=("ev.us.cart.idle.*",))
    await broker.store(COMMERCE_US, timer(soon(100)))
    await fired()

    deliveries = await broker.deliveries(spec)
    (message,) = await deliveries.fetch(10, 5)

    assert (message.subject, message.body) == (IDLE, b"idle")


async def test_a_timer_cannot_target_another_stream(broker):
    """The target is a subject of the same stream, or the store is refused for good."""
    with pytest.raises(DeclarationError):
        await broker.store(COMMERCE_US, timer(soon(), target="ev.us.interaction.product_viewed.v1"))

    assert await broker.last(COMMERCE_US, TIMER) is None


async def test_other_regions_copy_has_the_fired_event_and_not_the_timer(ground, broker, eventually):
    """Other regions see that a timer fired, never that it waits."""
    abroad, idle = await ground.connect_abroad(), IDLE.replace(".us.", ".eu.")
    await abroad.store("COMMERCE_eu", timer(soon(100), subject=TIMER.replace(".us.", ".eu."), target=idle))

    await eventually(lambda: broker.last("MESH_us", idle))

    assert [m.subject async for m in broker.read("MESH_us", [">"])] == [idle]
