"""Plans that are committed at about the same time share a batch; each has its own outcome all the same."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.errors import Conflict, Unavailable
from mesh.events.cart import CartIdle
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferDue
from mesh.group_commit import MAX_BYTES, GroupCommitter
from mesh.history import Unchanged
from mesh.publish import Cause, Draft, plan
from mesh.timers import Cancel, Timer

STREAM = "COMMERCE_us"


def idle(key):
    return CartIdle(cart_id=key, update_id="u")


def due(key, attempt=1):
    return OfferDue(run_id=key, cart_id=key, journey="j", abandonment_id="a", attempt=attempt)


def made(*changes, cause):
    return plan(changes, region="us", cause=Cause(id=cause, source="tests.group"))


class Counting:
    """A broker that counts how it is asked to store."""

    def __init__(self, broker):
        self._broker, self.batches, self.alone = broker, [], 0

    def __getattr__(self, name):
        return getattr(self._broker, name)

    async def store_batch(self, stream, messages):
        self.batches.append(len(messages))
        return await self._broker.store_batch(stream, messages)

    async def store(self, stream, message):
        self.alone += 1
        return await self._broker.store(stream, message)


@pytest.fixture
def counting(broker):
    return Counting(broker)


@pytest.fixture
def group(counting):
    return GroupCommitter(counting)


async def all_of(broker, *patterns):
    return [(m.subject, m.sequence) async for m in broker.read(STREAM, patterns or ("ev.us.>",))]


async def test_plans_of_one_moment_are_one_batch(group, counting, broker):
    """Twenty commits cost one; each is answered with the place of its own last message."""
    plans = [made(idle(f"c{at}"), due(f"c{at}"), cause=f"e{at}") for at in range(20)]

    stored = await asyncio.gather(*(group.commit(one) for one in plans))

    assert (counting.batches, counting.alone) == ([40], 0)
    assert [subject for subject, _ in await all_of(broker)] == [m.subject for one in plans for m in one.batch]
    for (place,), one in zip(stored, plans, strict=True):
        assert (await broker.get(STREAM, place.sequence)).subject == one.batch[-1].subject


async def test_a_conflict_fails_alone(group, broker):
    """Of many plans in a group the one whose condition does not hold is refused, and all others are stored."""
    await group.commit(made(idle("c3"), cause="before"))
    plans = [made(due(f"c{at}"), Unchanged(CartIdle, f"c{at}", 0), cause=f"e{at}") for at in range(8)]

    outcomes = await asyncio.gather(*(group.commit(one) for one in plans), return_exceptions=True)

    assert [type(one) for one in outcomes] == [Conflict if at == 3 else list for at in range(8)]
    assert {subject for subject, _ in await all_of(broker, "ev.us.offer.>")} == {
        f"ev.us.offer.due.c{at}" for at in range(8) if at != 3
    }


async def test_what_was_stored_before_counts_as_stored(group, broker):
    """A redelivered cause in a group changes nothing, and its neighbours are stored."""
    first = made(idle("c1"), due("c1"), cause="e1")
    await group.commit(first)

    again, fresh = await asyncio.gather(group.commit(first), group.commit(made(idle("c2"), cause="e2")))

    assert (again[0].duplicate, fresh[0].duplicate) == (True, False)
    assert [subject for subject, _ in await all_of(broker, "ev.us.cart.>")] == [
        "ev.us.cart.idle.c1",
        "ev.us.cart.idle.c2",
    ]


async def test_the_same_plan_twice_at_once_is_stored_once(group, broker):
    """Two requests with the same event: the second is answered as a duplicate."""
    one = made(Draft(event=idle("c1"), id="given"), cause="e1")

    stored = await asyncio.gather(group.commit(one), group.commit(one))

    assert sorted(place.duplicate for (place,) in stored) == [False, True]
    assert len(await all_of(broker)) == 1


async def test_plans_of_one_subject_keep_their_order(group, broker):
    """They are stored in different batches, in the order in which they were committed."""
    plans = [made(due("c1", attempt=at), cause=f"e{at}") for at in range(1, 6)]

    stored = await asyncio.gather(*(group.commit(one) for one in plans))

    places = [place.sequence for (place,) in stored]
    assert places == sorted(places)
    assert len(set(places)) == 5


async def test_rivals_in_one_group_cannot_both_be_right(group, broker):
    """Of two plans that each expect to be first, exactly one is stored."""
    rivals = [made(due("c1", attempt=at), Unchanged(OfferDue, "c1", 0), cause=f"e{at}") for at in (1, 2)]

    outcomes = await asyncio.gather(*(group.commit(one) for one in rivals), return_exceptions=True)

    assert sorted(isinstance(one, Conflict) for one in outcomes) == [False, True]
    assert len(await all_of(broker, "ev.us.offer.>")) == 1


async def test_timers_are_set_and_cancelled_in_a_group(group, broker, eventually):
    """A group may hold one cart's timer and another cart's cancellation: what was cancelled never fires."""
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    await asyncio.gather(*(group.commit(made(Timer(idle(key), at), cause=key)) for key in ("c1", "c2")))

    await asyncio.gather(
        group.commit(made(due("c2"), Cancel(CartIdle, "c2"), cause="e2")),
        group.commit(made(Timer(idle("c3"), at), cause="e3")),
    )

    async def fired():
        subjects = {subject for subject, _ in await all_of(broker, "ev.us.cart.idle.*")}
        return subjects if len(subjects) >= 2 else None

    assert await eventually(fired) == {"ev.us.cart.idle.c1", "ev.us.cart.idle.c3"}
    assert await all_of(broker, "timer.us.>") == []


async def test_a_thousand_messages_are_the_most_of_a_group(group, counting, broker):
    """What does not fit goes with the next group."""
    await asyncio.gather(*(group.commit(made(idle(f"c{at}"), due(f"c{at}"), cause=f"e{at}")) for at in range(700)))

    assert sum(counting.batches) == 1400
    assert max(counting.batches) <= 1000
    assert len(await all_of(broker)) == 1400


async def test_large_plans_do_not_make_a_larger_group(group, counting):
    """A group ends where it would be heavier than a server should take at once."""
    heavy = "x" * (MAX_BYTES // 8)
    plans = [made(CartIdle(cart_id=f"c{at}", update_id=heavy), due(f"c{at}"), cause=f"e{at}") for at in range(10)]

    await asyncio.gather(*(group.commit(one) for one in plans))

    assert sum(counting.batches) == 20
    assert max(counting.batches) <= 14


async def test_who_gives_up_keeps_nobody_waiting(group, broker):
    """A caller that is cancelled before its group is sent stores nothing; the others are not concerned."""
    gone = asyncio.create_task(group.commit(made(idle("gone"), cause="e1")))
    kept = asyncio.create_task(group.commit(made(idle("kept"), cause="e2")))
    await asyncio.sleep(0)
    gone.cancel()

    await kept

    assert [subject for subject, _ in await all_of(broker)] == ["ev.us.cart.idle.kept"]


async def test_interactions_are_stored_each_by_itself(group, counting, broker):
    """A plan's singles are not part of a batch, and their places follow the batch's."""
    stored = await group.commit(made(idle("c1"), ProductViewed(visitor_id="v", product_id="p"), cause="e1"))

    assert [place.sequence for place in stored] == [1, 1]
    assert counting.batches == []


async def test_an_outage_is_reported_to_everybody(counting):
    """While no server takes it, each caller learns that, and may commit again."""

    async def refuse(_stream, _messages):
        raise Unavailable("no leader")

    counting.store_batch = refuse
    group = GroupCommitter(counting, patience=timedelta(milliseconds=120))

    outcomes = await asyncio.gather(
        *(group.commit(made(idle(f"c{at}"), cause=f"e{at}")) for at in range(5)), return_exceptions=True
    )

    assert [type(one) for one in outcomes] == [Unavailable] * 5
