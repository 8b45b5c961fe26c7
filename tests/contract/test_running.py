"""What a running service promises: effects once, failures retried or given up, nothing lost when it stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh.broker.protocol import Outgoing
from mesh.consume import Consumer
from mesh.dead_letters import Redo, Redone, dead_letter_of
from mesh.envelope import Received, encode
from mesh.errors import Bury, Retry, Unavailable
from mesh.event import Event
from mesh.events.cart import CartConverted, CartIdle
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferDue
from mesh.history import Unchanged
from mesh.mesh import Mesh
from mesh.observability.metrics import HANDLED
from mesh.runtime.run import running
from mesh.service import Service

COMMERCE_US = "COMMERCE_us"


def idle(key):
    return CartIdle(cart_id=key, update_id="u")


def due(key, attempt=1):
    return OfferDue(run_id=key, cart_id=key, journey="j", abandonment_id="a", attempt=attempt)


@pytest.fixture
def mesh(broker):
    return Mesh(broker, "tests")


@pytest.fixture
def service():
    return Service("offers", publishes=(OfferDue,))


@pytest.fixture
def at_work(ground):
    """Run a service on a connection of its own until the block ends."""

    @asynccontextmanager
    async def work(service):
        for binding in service.bindings:
            for spec in binding.consumers("us"):
                names = ("stream", "durable", "filters", "ack_wait", "max_ack_pending", "deliver_new")
                await ground.durable(**{name: getattr(spec, name) for name in names})
        async with asyncio.timeout(100), running(service, Mesh(await ground.connect(), service.name)) as run:
            yield run

    return work


@pytest.fixture
def offers(mesh):
    """Keys of all offers due, in order."""

    async def keys():
        return [r.event.cart_id async for r in mesh.read(OfferDue)]

    return keys


@pytest.fixture
def dead_letters(broker):
    async def found():
        return [message async for message in broker.read("DEAD_us", [">"])]

    return found


async def test_what_a_handler_yields_becomes_true(service, at_work, mesh, offers, eventually):
    """Every event is handled, what was before the start and what comes after."""

    @service.on(CartIdle)
    async def offer(cart: CartIdle):
        """Offer."""
        yield due(cart.cart_id)

    await mesh.publish(idle("before"))
    async with at_work(service) as run:
        assert run.ready
        await mesh.publish(idle("after"))

        async def both():
            return sorted(await offers()) == ["after", "before"]

        await eventually(both)


async def test_an_event_handled_twice_has_one_effect(service, at_work, mesh, offers, eventually):
    """Who crashes between commit and acknowledgement does not do it twice."""
    handled: list[int] = []

    @service.on(CartIdle, ack_wait=timedelta(milliseconds=500))
    async def offer(cart: Received[CartIdle]):
        """Offer."""
        handled.append(cart.attempt)
        yield due(cart.event.cart_id)
        yield due(cart.event.cart_id, attempt=2)

    (binding,) = service.bindings
    await mesh.publish(idle("c1"))
    async with at_work(service) as run:
        await eventually(offers)
        (message,) = [m async for m in mesh.broker.read(COMMERCE_US, binding.filters("us")[COMMERCE_US])]
        again = next(iter(run._consumers.values()))
        assert await again.redo(message) is None

    assert len(handled) == 2
    assert await offers() == ["c1", "c1"]


async def test_a_dead_letter_is_redone_as_what_it_was(service, at_work, mesh, eventually):
    """Redone by its service, a batch handler sees the event with the place it had in its stream."""
    seen: list[tuple[str, int]] = []
    fixed = False

    @service.on(CartIdle, batch=8, retries=1)
    async def offer(carts: list[Received[CartIdle]]):
        """Offer."""
        seen.extend((one.subject, one.sequence) for one in carts)
        if not fixed:
            raise Bury("not yet")

    async with at_work(service) as run:
        (stored,) = await mesh.publish(idle("c1"))

        async def stored_dead_letter():
            return await mesh.broker.last("DEAD_us", "dead.us.offers.offers-offer")

        dead_letter = await eventually(stored_dead_letter)
        fixed = True
        asked = msgspec.json.encode(Redo(durable="offers-offer", sequence=dead_letter.sequence))
        redone = msgspec.json.decode(await run._redo(asked), type=Redone)

    assert redone == Redone(error=None)
    assert set(seen) == {("ev.us.cart.idle.c1", stored.sequence)}


async def test_a_failing_handler_is_tried_again(service, at_work, mesh, offers, eventually):
    """Two failures, then success: one effect, no dead letter."""
    attempts: list[int] = []

    @service.on(CartIdle)
    async def offer(cart: Received[CartIdle]):
        """Offer."""
        attempts.append(cart.attempt)
        if len(attempts) < 3:
            raise ZeroDivisionError
        yield due(cart.event.cart_id)

    async with at_work(service):
        await mesh.publish(idle("c1"))
        await eventually(offers)

    assert attempts == [1, 2, 3]
    assert await mesh.broker.last("DEAD_us", ">") is None


async def test_what_keeps_failing_becomes_a_dead_letter_with_its_reason(
    service, at_work, mesh, dead_letters, eventually
):
    """After its retries the message lies in the dead letters, whole, with where it came from and why."""

    @service.on(CartIdle, retries=2)
    async def offer(cart: CartIdle) -> None:
        """Offer."""
        raise ValueError("no offre à 5 € 🛒\nfor " + cart.cart_id)

    async with at_work(service):
        await mesh.publish(idle("c1"))
        (dead,) = await eventually(dead_letters)

    dead_letter = dead_letter_of(dead)
    assert (dead_letter.service, dead_letter.durable, dead_letter.subject) == (
        "offers",
        "offers-offer",
        "ev.us.cart.idle.c1",
    )
    assert (dead_letter.sequence, dead_letter.attempts) == (1, 2)
    assert dead_letter.reason == "ValueError: no offre à 5 € 🛒\nfor c1"
    assert "ValueError" in dead_letter.trace
    assert dead.body == (await mesh.broker.get(COMMERCE_US, 1)).body


async def test_bury_gives_up_at_once(service, at_work, mesh, dead_letters, eventually):
    """No retries where the handler knows better."""
    calls: list[str] = []

    @service.on(CartIdle)
    async def offer(cart: CartIdle) -> None:
        """Offer."""
        calls.append(cart.cart_id)
        raise Bury("no such cart")

    async with at_work(service):
        await mesh.publish(idle("c1"))
        (dead,) = await eventually(dead_letters)

    assert dead_letter_of(dead).reason == "no such cart"
    assert calls == ["c1"]


async def test_retry_waits_as_long_as_it_says(service, at_work, mesh, offers, eventually):
    """`Retry(after=...)` brings the message again then, and is no failure."""
    times: list[float] = []

    @service.on(CartIdle, retries=1)
    async def offer(cart: CartIdle):
        """Offer."""
        times.append(asyncio.get_running_loop().time())
        if len(times) < 3:
            raise Retry(after=timedelta(milliseconds=300))
        yield due(cart.cart_id)

    async with at_work(service):
        await mesh.publish(idle("c1"))
        await eventually(offers)

    assert times[1] - times[0] >= 0.25
    assert times[2] - times[1] >= 0.25


async def test_who_waits_for_long_is_not_given_up(service, at_work, mesh, offers, eventually):
    """A message that is answered with `Retry` any number of times is no dead letter: it was answered each time."""
    calls: list[int] = []

    @service.on(CartIdle)
    async def offer(cart: Received[CartIdle]):
        """Offer."""
        calls.append(cart.attempt)
        if len(calls) < 60:
            raise Retry(after=timedelta(milliseconds=5))
        yield due(cart.event.cart_id)

    async with at_work(service):
        await mesh.publish(idle("c1"))
        await eventually(offers)

    assert calls[-1] == 60
    assert await mesh.broker.last("DEAD_us", ">") is None


async def test_waiting_is_not_counted_across_replicas_and_restarts(service, at_work, mesh, offers, eventually):
    """A replica that never saw the message before learns from the deliveries that they were answered."""
    calls: list[int] = []

    @service.on(CartIdle)
    async def offer(cart: Received[CartIdle]):
        """Offer."""
        calls.append(cart.attempt)
        if len(calls) < 90:
            raise Retry(after=timedelta(milliseconds=5))
        yield due(cart.event.cart_id)

    await mesh.publish(idle("c1"))
    async with at_work(service):
        await eventually(lambda: len(calls) >= 45)
    async with at_work(service), at_work(service):
        await eventually(offers)

    assert await mesh.broker.last("DEAD_us", ">") is None


async def test_what_ends_every_process_is_given_up(
    service, at_work, ground, mesh, monkeypatch, dead_letters, eventually
):
    """A message that nobody ever answered, whichever process it was given to, becomes a dead letter."""
    monkeypatch.setattr("mesh.unanswered.UNSUSPICIOUS", 2)
    monkeypatch.setattr("mesh.failures.MOST_UNANSWERED", 3)
    calls: list[int] = []

    @service.on(CartIdle, ack_wait=timedelta(milliseconds=500))
    async def offer(cart: Received[CartIdle]):
        """Offer."""
        calls.append(cart.attempt)
        await asyncio.Event().wait()
        yield due(cart.event.cart_id)

    (binding,) = service.bindings
    (spec,) = binding.consumers("us")
    names = ("stream", "durable", "filters", "ack_wait", "max_ack_pending", "deliver_new")
    await ground.durable(**{name: getattr(spec, name) for name in names})
    await mesh.publish(idle("c1"))

    async with asyncio.timeout(100):
        while not await dead_letters():
            broker = await ground.connect()
            consumer = Consumer(binding, spec.stream, await broker.deliveries(spec), Mesh(broker, "offers"), {})
            before = len(calls)
            process = asyncio.create_task(consumer.run())

            async def given_or_dead(before=before):
                return len(calls) > before or await dead_letters()

            await eventually(given_or_dead)
            for worker in (process, *consumer._workers):  # killed: it answers nothing any more
                worker.cancel()
            await broker.drain()

    assert calls == [1, 2, 3, 4, 5]
    assert "never answered" in dead_letter_of((await dead_letters())[0]).reason


async def test_garbage_is_given_up_and_the_rest_goes_on(service, at_work, mesh, offers, dead_letters, eventually):
    """What is no event never reaches the handler and holds nothing up."""

    @service.on(CartIdle)
    async def offer(cart: CartIdle):
        """Offer."""
        yield due(cart.cart_id)

    async with at_work(service):
        await mesh.broker.store(COMMERCE_US, Outgoing(subject="ev.us.cart.idle.c0", body=b"\xffgarbage"))
        await mesh.publish(idle("c1"))
        await eventually(offers)
        (dead,) = await eventually(dead_letters)

    assert dead.body == b"\xffgarbage"
    assert "not a CloudEvent" in dead_letter_of(dead).reason


def offering(*kinds):
    """A release of the service whose handler takes these kinds."""
    release = Service("offers", publishes=(OfferDue,))

    @release.on(*kinds)
    async def offer(event: Event):
        """Offer."""
        yield due(event.cart_id)

    return release


@pytest.mark.parametrize("ground", ["jetstream"], indirect=True)
async def test_an_old_release_leaves_new_kinds_to_the_new_one(ground, mesh, offers, dead_letters, eventually):
    """While the filter of its durable is wider than its handler, the old one retries; the new one handles, once."""
    old, new = offering(CartIdle), offering(CartIdle, CartConverted)
    (spec,) = new.bindings[0].consumers("us")
    names = ("stream", "durable", "filters", "ack_wait", "max_ack_pending", "deliver_new")
    await ground.durable(**{name: getattr(spec, name) for name in names})
    retried = HANDLED.labels("offers-offer", "unknown")
    before = retried._value.get()

    async with running(old, Mesh(await ground.connect(), "offers")):
        await mesh.publish(CartConverted(cart_id="c1", order_id="o1", visitor_id="v"))
        await mesh.publish(idle("c2"))
        await eventually(lambda: retried._value.get() >= before + 2)
        assert await eventually(offers) == ["c2"], "the others go on"
        async with running(new, Mesh(await ground.connect(), "offers")):

            async def handled():
                return sorted(await offers()) == ["c1", "c2"]

            await eventually(handled)
    assert await dead_letters() == []


async def test_after_the_rollout_an_unknown_event_is_given_up(
    service, at_work, mesh, dead_letters, eventually, monkeypatch
):
    """Nobody newer came: it is a dead letter with its reason, and may be driven again."""
    monkeypatch.setenv("CARTMESH_ROLLOUT_WINDOW", "300ms")

    @service.on(CartIdle)
    async def offer(cart: CartIdle):
        """Offer."""
        yield due(cart.cart_id)

    known = encode(idle("c1"), id="e1", region="us", source="carts")
    async with at_work(service):
        unknown = known.replace(b"cart.idle.v1", b"cart.melted.v1")
        await mesh.broker.store(COMMERCE_US, Outgoing(subject="ev.us.cart.idle.c1", body=unknown))
        (dead,) = await eventually(dead_letters)

    assert dead_letter_of(dead).attempts > 1
    assert "unknown event type 'cart.melted.v1'" in dead_letter_of(dead).reason


async def test_a_conflict_calls_the_handler_again(service, at_work, mesh, offers, eventually):
    """Something happened between reading and committing: the handler decides again on what is true now."""
    seen: list[int] = []

    @service.on(CartIdle)
    async def offer(cart: CartIdle, mesh: Mesh):
        """Offer."""
        last = await mesh.last(OfferDue, cart.cart_id)
        seen.append(last.event.attempt if last else 0)
        if last is None:
            await mesh.publish(due(cart.cart_id, attempt=7))
        yield due(cart.cart_id, attempt=(last.event.attempt if last else 0) + 1)
        yield Unchanged(OfferDue, cart.cart_id, last.sequence if last else 0)

    async with at_work(service):
        await mesh.publish(idle("c1"))

        async def decided():
            return [r.event.attempt async for r in mesh.read(OfferDue)] == [7, 8]

        await eventually(decided)

    assert seen == [0, 7]


async def test_rivals_decide_once_per_cart(ground, at_work, mesh, offers, eventually):
    """Two services that each want to be first: exactly one decision per cart."""
    services = []
    for name in ("one", "two"):
        rival = Service(name, publishes=(OfferDue,))

        @rival.on(CartIdle)
        async def decide(cart: CartIdle, mesh: Mesh):
            """Decide."""
            history = await mesh.history(cart.cart_id, "offer")
            if history.last(OfferDue) is None:
                yield due(cart.cart_id)
                for condition in history.unchanged(OfferDue):
                    yield condition

        services.append(rival)

    keys = [f"c{at}" for at in range(40)]
    async with at_work(services[0]), at_work(services[1]):
        await mesh.publish(*(idle(key) for key in keys))

        async def all_decided():
            return set(await offers()) == set(keys)

        await eventually(all_decided)

    assert sorted(await offers()) == sorted(keys)


async def test_a_batch_handler_gets_many_at_once_and_all_of_them(service, at_work, mesh, eventually):
    """Interactions come in lists, none twice, none lost."""
    batches: list[list[str]] = []

    @service.on(ProductViewed, batch=50)
    async def learn(viewed: list[ProductViewed]) -> None:
        """Learn."""
        batches.append([view.product_id for view in viewed])

    await mesh.publish(*(ProductViewed(visitor_id="v", product_id=str(at)) for at in range(120)))
    async with at_work(service):

        def complete():
            return sum(map(len, batches)) == 120

        await eventually(complete)

    assert sorted(id_ for batch in batches for id_ in batch) == sorted(map(str, range(120)))
    assert max(map(len, batches)) <= 50
    assert len(batches) < 60


async def test_one_bad_event_does_not_spoil_its_batch(service, at_work, mesh, dead_letters, eventually):
    """A batch that fails is tried one by one: the bad one is given up, the good ones count."""
    learned: set[str] = set()

    @service.on(ProductViewed, batch=50, retries=1)
    async def learn(viewed: list[ProductViewed]) -> None:
        """Learn."""
        if any(view.product_id == "bad" for view in viewed):
            raise ValueError("bad")
        learned.update(view.product_id for view in viewed)

    await mesh.publish(*(ProductViewed(visitor_id="v", product_id=id_) for id_ in ("a", "bad", "b")))
    async with at_work(service):
        (dead,) = await eventually(dead_letters)
        await eventually(lambda: learned == {"a", "b"})

    assert dead_letter_of(dead).reason == "ValueError: bad"


async def test_stopping_finishes_what_was_begun(service, at_work, mesh, offers, eventually):
    """A handler that is at work when the service stops is waited for, and its effect counts."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @service.on(CartIdle)
    async def offer(cart: CartIdle):
        """Offer."""
        begun.set()
        await go_on.wait()
        yield due(cart.cart_id)

    await mesh.publish(idle("c1"))
    async with at_work(service):
        await begun.wait()
        asyncio.get_running_loop().call_later(0.1, go_on.set)

    assert await offers() == ["c1"]


async def test_stopping_does_not_wait_for_what_may_come(service, mesh):
    """A handler for which nothing comes is stopped in the middle of its wait."""
    waits = asyncio.Event()

    class NothingComes:
        async def fetch(self, *_):
            waits.set()
            await asyncio.Event().wait()

        async def release(self):
            """Nothing to give back."""

        close = release

    @service.on(CartIdle)
    async def offer(cart: CartIdle):
        """Offer."""
        yield due(cart.cart_id)

    consumer = Consumer(service.bindings[0], COMMERCE_US, NothingComes(), mesh, {})
    running = asyncio.create_task(consumer.run())
    await waits.wait()

    consumer.stop()
    consumer.stop()  # a second time changes nothing

    async with asyncio.timeout(60):
        await running


async def test_what_comes_while_a_service_stops_is_done_by_the_next(service, at_work, mesh, offers, eventually):
    """Delivered to a service that is told to stop at that moment, it is given back, and nothing is lost."""
    stored = []

    @service.on(CartIdle)
    async def offer(cart: CartIdle):
        """Offer."""
        yield due(cart.cart_id)

    for turn in range(20):
        async with at_work(service):
            await eventually(lambda at=turn: _as_many(offers, at))
            stored.append(f"c{turn}")
            await mesh.publish(idle(stored[-1]))
    async with at_work(service):
        await eventually(lambda: _as_many(offers, len(stored)))

    assert sorted(await offers()) == sorted(stored)


async def _as_many(offers, count):
    return len(await offers()) >= count


async def test_what_a_stopped_service_left_is_done_by_the_next(service, at_work, mesh, offers, eventually):
    """A backlog survives the stop: nothing lost, nothing twice."""
    keys = [f"c{at}" for at in range(60)]

    @service.on(CartIdle, concurrency=2)
    async def offer(cart: CartIdle):
        """Offer."""
        await asyncio.sleep(0.02)
        yield due(cart.cart_id)

    await mesh.publish(*(idle(key) for key in keys))
    async with at_work(service):
        await eventually(offers)
    assert len(await offers()) < len(keys)

    async with at_work(service):

        async def everything():
            return len(await offers()) >= len(keys)

        await eventually(everything)

    assert sorted(await offers()) == sorted(keys)


async def test_a_fanout_receives_what_is_new_in_every_replica(service, at_work, mesh, eventually):
    """Each running copy receives every event for itself."""
    received: list[str] = []

    @service.on(CartIdle, fanout=True)
    async def show(cart: CartIdle) -> None:
        """Show."""
        received.append(cart.cart_id)

    await mesh.publish(idle("before"))
    async with at_work(service), at_work(service):
        await mesh.publish(idle("c1"))
        await eventually(lambda: len(received) == 2)

    assert received == ["c1", "c1"]


@dataclass
class Ledger:
    rows: list[str]
    closed: bool = False


async def test_resources_are_opened_injected_and_closed(service, at_work, mesh, eventually):
    """A resource lives as long as its service; handlers get it by its type."""
    ledger = Ledger([])

    async def open_ledger() -> AsyncIterator[Ledger]:
        """Open."""
        yield ledger
        ledger.closed = True

    service.resource(open_ledger)

    @service.on(CartIdle)
    async def note(cart: CartIdle, book: Ledger) -> None:
        """Note."""
        book.rows.append(cart.cart_id)

    async with at_work(service):
        await mesh.publish(idle("c1"))
        await eventually(lambda: ledger.rows == ["c1"])
        assert not ledger.closed

    assert ledger.closed


async def test_a_resource_that_is_unavailable_at_first_is_opened_again(service, at_work):
    """While a cluster elects its leaders a service waits; it does not end."""
    attempts: list[str] = []

    async def open_ledger() -> AsyncIterator[Ledger]:
        """Open, at the third attempt."""
        attempts.append("attempt")
        if len(attempts) < 3:
            raise Unavailable("no leader yet")
        yield Ledger([])

    service.resource(open_ledger)

    async with at_work(service) as run:
        assert run.ready

    assert len(attempts) == 3


async def test_questions_are_answered_by_type(service, at_work, mesh):
    """`mesh.ask` reaches the `@answers` of a running service."""

    @service.answers
    async def judge_cart(cart: CartIdle) -> OfferDue:
        """Judge."""
        return due(cart.cart_id, attempt=3)

    async with at_work(service):
        assert await mesh.ask("offers", "judge-cart", idle("c1"), OfferDue) == due("c1", attempt=3)


async def test_a_tick_of_two_replicas_has_one_effect(service, at_work, mesh, offers, eventually):
    """Both tick, and what they say at one time is stored once."""
    ticked: list[datetime] = []

    @service.every(timedelta(milliseconds=500))
    async def remind(at: datetime):
        """Remind."""
        ticked.append(at)
        yield due("c1")

    async with at_work(service), at_work(service):
        await eventually(lambda: len(ticked) >= 4)

    assert all(at.tzinfo is UTC and at.microsecond % 500_000 == 0 for at in ticked)
    assert len(set(ticked)) - 1 <= len(await offers()) <= len(set(ticked))  # the last one may have been cut off
