"""A region that is cut off goes on alone, and everything arrives once when it is back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.errors import Unavailable
from mesh.event import declaration_of
from services.demo.afternoon.scenarios import personal_copies
from services.demo.replay.evidence import Cut
from services.demo.replay.report import missing_copies

pytestmark = pytest.mark.timeout(1200)
LOST = "ap"
CAUGHT_UP = 480.0
"""Seconds. A server waits up to two minutes before it asks a region again that did not answer: on a slow machine, where
the cut takes long and the first answer may come too late, that is waited for more than once."""


@pytest.mark.parametrize(
    ("regions", "nodes", "seconds", "per_second"),
    [
        pytest.param(("us", LOST), 1, 10, 4, id="small"),
        pytest.param(("us", "eu", LOST), 3, 30, 20, id="drill", marks=pytest.mark.drill),
    ],
)
async def test_a_region_that_is_cut_off_works_alone_and_catches_up(
    chaos, tmp_path, regions, nodes, seconds, per_second
):
    """Cut off, with a service killed besides, it sells, decides and mails; healed, all of it is everywhere once."""
    async with (
        chaos.mesh(tmp_path, regions, nodes=nodes, only=chaos.selling) as stage,
        chaos.load(stage, per_second=per_second) as load,
    ):
        servers, worker = stage.up.servers, stage.up.child(LOST, "carts")
        await load.wait_for_events(30)
        before = await staleness(stage)

        servers.cut(LOST)
        began, clock = datetime.now(UTC), asyncio.get_running_loop().time()
        await load.wait_for_events(20, region=LOST)
        await worker.kill()
        await asyncio.wait_for(worker.ready.wait(), 90)
        await load.wait_for_events(40, region=LOST)
        await chaos.until(lambda: asyncio.get_running_loop().time() > clock + seconds, "the cut to be long enough")
        during = await staleness(stage)
        await servers.heal(LOST)
        healed = datetime.now(UTC)
        caught_up = await chaos.until(lambda: everywhere(load, healed), "everything to be everywhere", within=CAUGHT_UP)
        load.collector.evidence.cut = Cut(region=LOST, began=began, healed=healed, caught_up=caught_up)
        await chaos.until(lambda: fresh(stage), "heartbeats to arrive again")
        outcome = await load.outcome()
        copied, misplaced = await personal_copies(stage.meshes), await misplaced_messages(stage)

    outcome.keeps_every_promise()
    print(
        f"staleness in s: {before} before, {during} at the end of the cut of {(healed - began).total_seconds():.1f} s"
    )
    assert max(before.values()) < min(during.values())
    assert min(during.values()) > seconds - 2
    alone = [
        abandonment
        for abandonment in outcome.abandonments
        if abandonment.region == LOST and alone_in(abandonment, began, healed)
    ]
    assert alone, "the region sent nothing while it was alone"
    assert (outcome.figures["region_cut"]["orders_during"] > 0, worker.restarts > 0) == (True, True)
    assert any(declaration_of(type(one.event)).personal for one in outcome.evidence.stored)
    assert (copied, misplaced) == (0, 0), "personal data left its region"


def alone_in(abandonment, began, healed) -> bool:
    """Whether an offer was decided and mailed within a span."""
    return any(began < mail.accepted_at < healed and began < abandonment.decided.stored for mail in abandonment.mails)


async def staleness(stage) -> dict[str, float]:
    """Seconds since each side of the cut last received from the other."""
    found = {}
    others = [region for region in stage.regions if region != LOST]
    for here, there in (*((other, LOST) for other in others), *((LOST, other) for other in others)):
        age = (await stage.meshes[here].staleness())[there]
        found[f"{there} in {here}"] = round(age.total_seconds(), 1) if age is not None else float("inf")
    return found


async def fresh(stage) -> bool:
    """Whether every region receives from every other again."""
    return max((await staleness(stage)).values()) < 5


async def everywhere(load, healed):
    """When the last event of before the heal reached the last region; None while one is missing."""
    try:
        evidence = await load.collector.collect()
    except Unavailable:
        return None  # a server that is catching up may be too busy to answer in time
    if missing_copies(evidence, until=healed):
        return None
    late = [
        copy.stored
        for copies in evidence.copies.values()
        for copy in copies
        if copy.time <= healed and copy.stored > healed
    ]
    return max(late, default=healed + timedelta(microseconds=1))


async def misplaced_messages(stage) -> int:
    """Messages about another region's people in a region's write streams or dead letters."""
    count = 0
    for here, mesh in stage.meshes.items():
        for there in stage.regions:
            for stream in (f"{family}_{here}" for family in ("COMMERCE", "INTERACTIONS", "PERSONAL", "DEAD", "MESH")):
                if here != there:
                    count += len([one async for one in mesh.broker.read(stream, [f"pii.{there}.>"])])
    return count
