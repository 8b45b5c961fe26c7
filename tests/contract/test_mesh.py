"""What the mesh promises on either broker: effects once, conditions kept, histories whole."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.protocol import Outgoing
from mesh.errors import Conflict, InvalidKey, Unavailable
from mesh.events.cart import CartIdle
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshHeartbeat
from mesh.events.offer import OfferDue
from mesh.history import Unchanged
from mesh.mesh import Mesh
from mesh.publish import Cause, Draft, new_cause
from mesh.timers import Cancel, Timer

COMMERCE_US = "COMMERCE_us"


def due(key="c1", attempt=1):
    return OfferDue(run_id=key, cart_id=key, journey="j", abandonment_id="a", attempt=attempt)


def idle(key="c1"):
    return CartIdle(cart_id=key, update_id="u")


class Forgetful:
    """A broker whose answers to the first stores are lost on the way back."""

    def __init__(self, broker, losses=1):
        self._broker, self.losses = broker, losses

    def __getattr__(self, name):
        return getattr(self._broker, name)

    async def store(self, stream, message):
        return self._answer(await self._broker.store(stream, message))

    async def store_batch(self, stream, messages):
        return self._answer(await self._broker.store_batch(stream, messages))

    def _answer(self, stored):
        if self.losses:
            self.losses -= 1
            raise Unavailable("the answer was lost")
        return stored


@pytest.fixture
def mesh(broker):
    return Mesh(broker, "carts", others=("eu",))


@pytest.fixture
def stored(broker):
    async def subjects():
        return [message.subject async for message in broker.read(COMMERCE_US, [">"])]

    return subjects


async def test_the_same_cause_is_committed_once(mesh, stored):
    """One change or several: committing again with the same cause stores nothing new."""
    one, several = Cause(id="e1", source="carts.fold"), Cause(id="e2", source="carts.fold")

    for _ in range(2):
        single = await mesh.commit([due("a")], one)
        batch = await mesh.commit([due("b"), due("c")], several)

    assert single[0].duplicate
    assert batch[0].duplicate
    assert await stored() == [f"ev.us.offer.due.{key}" for key in "abc"]


async def test_what_comes_again_in_other_company_takes_nothing_down_with_it(mesh, stored):
    """Of drafts that are committed together some were stored before: the others are stored, each once."""
    drafts = {key: Draft(event=due(key), id=f"id-{key}") for key in "abc"}
    await mesh.publish(drafts["a"], drafts["b"])

    await mesh.publish(drafts["b"], drafts["c"])

    assert await stored() == [f"ev.us.offer.due.{key}" for key in "abc"]


async def test_different_causes_are_different_effects(mesh, stored):
    """What follows from another event is another event."""
    for id_ in ("e1", "e2"):
        await mesh.commit([due()], Cause(id=id_, source="carts.fold"))

    assert len(await stored()) == 2


async def test_another_handler_of_the_same_event_is_another_effect(mesh, stored):
    """Two handlers that follow from one event do not swallow each other."""
    for source in ("carts.fold", "carts.close"):
        await mesh.commit([due()], Cause(id="e1", source=source))

    assert len(await stored()) == 2


@pytest.mark.parametrize("conditional", [False, True], ids=["plain", "conditional"])
@pytest.mark.parametrize("count", [1, 3], ids=["one", "several"])
async def test_a_lost_answer_changes_nothing(broker, stored, count, conditional):
    """Stored, but the answer was lost: the retry finds out that it was stored, whatever the condition says now."""
    mesh = Mesh(Forgetful(broker), "carts")
    changes = [due(f"c{at}") for at in range(count)]
    conditions = [Unchanged(OfferDue, "c0", 0)] if conditional else []

    (answer, *_) = await mesh.publish(*changes, *conditions)

    assert answer.duplicate
    assert await stored() == [f"ev.us.offer.due.c{at}" for at in range(count)]


async def test_a_conflict_of_others_is_a_conflict(mesh, stored):
    """When somebody else changed the watched event, nothing is stored."""
    await mesh.publish(due())

    with pytest.raises(Conflict):
        await mesh.publish(due(), Unchanged(OfferDue, "c1", 0))
    with pytest.raises(Conflict):
        await mesh.publish(due("c2"), due("c3"), Unchanged(OfferDue, "c1", 0))

    assert len(await stored()) == 1


async def test_a_condition_on_a_kind_that_is_not_changed(mesh, stored):
    """A decision can depend on an event kind that it does not publish itself."""
    await mesh.publish(due("c1"), Unchanged(CartIdle, "c1", 0))
    await mesh.publish(idle("c1"))

    with pytest.raises(Conflict):
        await mesh.publish(due("c1"), Unchanged(CartIdle, "c1", 0))

    assert await stored() == ["ev.us.offer.due.c1", "ev.us.cart.idle.c1"]


async def test_of_racing_decisions_one_is_made(broker, stored):
    """Many who decide on the same state at once: one commit, the others get Conflict."""
    meshes = [Mesh(broker, f"rival-{at}") for at in range(16)]

    answers = await asyncio.gather(
        *(mesh.publish(due(), due(f"other-{at}"), Unchanged(OfferDue, "c1", 0)) for at, mesh in enumerate(meshes)),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, Conflict) for answer in answers) == 15
    assert len(await stored()) == 2


async def test_a_history_is_everything_of_one_key_in_order(mesh):
    """All kinds of the domains asked for, oldest first, of this key alone."""
    await mesh.publish(due("c1", 1))
    await mesh.publish(due("c2", 1))
    await mesh.publish(due("c1", 2))

    history = await mesh.history("c1", "cart", "offer")

    assert [r.event.attempt for r in history] == [1, 2]
    assert history.last(OfferDue).sequence == 3
    assert history.unchanged(OfferDue, CartIdle) == [Unchanged(OfferDue, "c1", 3), Unchanged(CartIdle, "c1", 0)]
    assert (await mesh.history("c9", "cart")).events == ()


async def test_a_history_skips_what_cannot_be_read(mesh, broker):
    """Garbage on a subject does not hide the rest."""
    await broker.store(COMMERCE_US, Outgoing(subject="ev.us.offer.due.c1", body=b"garbage"))
    await mesh.publish(due())

    assert [r.sequence for r in await mesh.history("c1", "offer")] == [2]


async def test_a_history_is_a_condition(mesh):
    """Read, decide, commit: refused when something happened in between."""
    history = await mesh.history("c1", "offer")
    await mesh.publish(due())

    with pytest.raises(Conflict):
        await mesh.publish(due(), *history.unchanged(OfferDue))

    fresh = await mesh.history("c1", "offer")
    await mesh.publish(due(), *fresh.unchanged(OfferDue))


async def test_the_last_of_a_kind(mesh):
    """`last` gives the event with its id, source region and place."""
    await mesh.publish(Draft(event=due(), id="given", time=datetime(2026, 1, 2, tzinfo=UTC)))

    received = await mesh.last(OfferDue, "c1")

    assert (received.event, received.id, received.region, received.sequence) == (due(), "given", "us", 1)
    assert received.time == datetime(2026, 1, 2, tzinfo=UTC)
    assert await mesh.last(OfferDue, "c2") is None


async def test_reading_kinds_across_their_streams(mesh):
    """`read` finds each kind in its own stream, and goes on from behind a place."""
    await mesh.publish(due("c1"), ProductViewed(visitor_id="v1", product_id="p"), idle("c1"))
    await mesh.publish(due("c2"))

    read = [type(r.event) async for r in mesh.read(OfferDue, ProductViewed, CartIdle)]
    behind = [r.sequence async for r in mesh.read(OfferDue, after=1)]

    assert read == [OfferDue, CartIdle, OfferDue, ProductViewed]
    assert behind == [3]


async def test_reading_other_regions(ground, mesh, eventually):
    """`read(stream=MESH_..)` gives what every other region did."""
    await mesh.publish(due("c0"))
    await Mesh(await ground.connect_abroad(), "carts").publish(due())

    async def copied():
        return [r async for r in mesh.read(OfferDue, stream="MESH_us")]

    (received,) = await eventually(copied)
    assert (received.event, received.region) == (due(), "eu")


async def test_a_timer_fires_as_an_event_and_is_cancelled_by_one(mesh, eventually):
    """`Timer` becomes its event when due; `Cancel` in another's commit prevents it."""
    soon = datetime.now(UTC) + timedelta(milliseconds=400)
    await mesh.publish(due("c1"), Timer(idle("c1"), soon), Timer(idle("c2"), soon))
    await mesh.publish(due("c2"), Cancel(CartIdle, "c2"))

    fired = await eventually(lambda: mesh.last(CartIdle, "c1"))

    assert fired.event == idle("c1")
    assert fired.time == soon
    assert await mesh.last(CartIdle, "c2") is None


async def test_cancelling_alone_leaves_nothing_behind(mesh, broker, eventually):
    """A lone `Cancel` rides on a carrier that expires by itself."""
    later = datetime.now(UTC) + timedelta(seconds=60)
    await mesh.publish(Timer(idle("c1"), later))

    await mesh.publish(Cancel(CartIdle, "c1"))

    assert await broker.last(COMMERCE_US, "timer.us.>") is None

    async def empty():
        return await broker.last(COMMERCE_US, ">") is None

    await eventually(empty)


async def test_a_timer_committed_twice_fires_once(mesh, broker, eventually):
    """A retried commit does not set the timer again."""
    cause = Cause(id="e1", source="carts.fold")
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    for _ in range(2):
        await mesh.commit([due("c1"), Timer(idle("c1"), soon)], cause)

    await eventually(lambda: mesh.last(CartIdle, "c1"))
    await mesh.commit([due("c1"), Timer(idle("c1"), soon)], cause)

    assert len([r async for r in mesh.read(CartIdle)]) == 1


async def test_a_key_that_is_no_token_stores_nothing(mesh, stored):
    """One illegal key refuses the whole commit before anything is sent."""
    with pytest.raises(InvalidKey):
        await mesh.publish(due("c1"), due("c.>"))

    assert await stored() == []


async def test_staleness_is_the_age_of_the_newest_heartbeat(broker, eventually):
    """A region whose heartbeat was never seen has none; others' age counts up."""
    mesh = Mesh(broker, "heartbeat", others=("us", "eu"))
    beat = datetime.now(UTC) - timedelta(seconds=5)
    await mesh.commit([MeshHeartbeat(region="us", at=beat)], new_cause("heartbeat"))

    async def seen():
        ages = await mesh.staleness()
        return ages if ages["us"] else None

    ages = await eventually(seen)
    assert ages["us"] >= timedelta(seconds=5)
    assert ages["eu"] is None
