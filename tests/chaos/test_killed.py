"""SIGKILL, of the stream's leader, of each service and of a whole region, while a shop is full of people."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from mesh.topology.apply import api

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


def times(drill: int):
    """What runs, how often something is killed, how many shoppers come each second, and how many events lie between."""
    return pytest.mark.parametrize(
        ("stage", "rounds", "per_second", "events"),
        [
            pytest.param("selling", 1, 4, 12, id="small"),
            pytest.param("everything", drill, 15, 30, id="drill", marks=pytest.mark.drill),
        ],
        indirect=["stage"],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(request, chaos, tmp_path_factory):
    """One region of three servers, with the inbox and every service, or those that take part in selling."""
    only = chaos.selling if request.param == "selling" else ()
    async with chaos.mesh(tmp_path_factory.mktemp("mesh"), ("us",), nodes=3, only=only) as stage:
        yield stage


async def leader(stage) -> int:
    """The number of the server that leads the region's commerce stream; 0 while one is being elected."""
    info = await api(await stage.up.servers.operator("us"), "STREAM.INFO.COMMERCE_us")
    return int(info["cluster"].get("leader", "").removeprefix("us-") or 0)


async def waiting(load) -> bool:
    """Whether some carts fall due in more than a second."""
    now = datetime.now(UTC)
    soon, all_of_them = [await load.collector.pending(until=now + timedelta(seconds=within)) for within in (1, 60)]
    return all_of_them - soon > 2


@times(6)
async def test_the_leader_of_the_commerce_stream_may_be_killed(stage, chaos, rounds, per_second, events):
    """What was acknowledged is stored once, although the stream's leader is killed while carts and orders come in."""
    async with chaos.load(stage, per_second=per_second) as load:
        for _ in range(rounds):
            await load.wait_for_events(events)
            led = await chaos.until(lambda: leader(stage), "the commerce stream to have a leader")

            await stage.up.servers.kill_node("us", led)
            await load.wait_for_events(events)
            assert await leader(stage) != led
            await stage.up.servers.start_node("us", led)
        outcome = await load.outcome()

    outcome.keeps_every_promise()


@times(4)
async def test_every_service_may_be_killed_in_the_middle_of_its_work(stage, chaos, rounds, per_second, events):
    """Every left cart is decided once and mailed at most once, although each process is killed while it works."""
    async with chaos.load(stage, per_second=per_second) as load:
        for _ in range(rounds):
            for child in stage.up.children.values():
                await load.wait_for_events(events)

                await child.kill()
                await asyncio.wait_for(child.ready.wait(), 90)
        await load.wait_for_events(events)
        outcome = await load.outcome()

    outcome.keeps_every_promise()


@times(4)
async def test_a_whole_region_may_be_killed(stage, chaos, rounds, per_second, events):
    """After all servers of a region are killed all is there, timers due meanwhile fire, and work goes on."""
    outages = []
    async with chaos.load(stage, per_second=per_second) as load:
        for _ in range(rounds):
            await load.wait_for_events(2 * events)
            await chaos.until(lambda: waiting(load), "carts to be left")
            began = datetime.now(UTC)
            await stage.up.servers.kill_region("us")
            # Every cart that is left by now falls due while there is no server.
            await chaos.until(lambda at=began: datetime.now(UTC) > at + chaos.abandon_after, "timers to fall due")
            outages.append((began, datetime.now(UTC)))
            await stage.up.servers.start_region("us")
            await load.wait_for_events(events)
        outcome = await load.outcome()

    outcome.keeps_every_promise()
    for began, ended in outages:
        due = [abandonment for abandonment in outcome.abandonments if began <= abandonment.abandoned.event.due <= ended]
        assert due, "no timer fell due during an outage: this proves nothing"
