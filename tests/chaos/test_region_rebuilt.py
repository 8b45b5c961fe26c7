"""A region's servers and disks are lost, and the command rebuilds it, killed midway: all is as it was before."""

import asyncio
import os
import shutil
import signal
import sys
from collections import Counter

import pytest

from mesh.broker.jetstream import JetStreamBroker
from services.demo.afternoon.shoppers import DemoShoppers
from services.demo.replay.storefront_events import Storefront

pytestmark = [pytest.mark.timeout(900), pytest.mark.drill]
NEAR, LOST = "us", "ap"
LAMP = {"name": "Desk Lamp", "price": 4900}
MESH = f'[regions.{NEAR}]\nnodes = 3\n[regions.{LOST}]\nnodes = 3\n[[links]]\nfrom = "{LOST}"\nto = "{NEAR}"\n'
OF_THE_MOMENT = ("Nats-Batch-", "Nats-Expected-", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-", "Nats-Last-")
STREAMS = (f"COMMERCE_{LOST}", f"OPERATIONS_{LOST}")


async def events(stage, region, stream):
    """The lost region's events in a stream that do not expire, as they stand there."""
    found = []
    async for one in JetStreamBroker(await stage.up.servers.operator(region)).read(stream, [f"ev.{LOST}.>"]):
        if "Nats-TTL" not in one.headers:
            origin = one.headers.get("Nats-Stream-Source", "").split(" ")
            place = (origin[0].partition(":")[0], int(origin[1])) if len(origin) > 1 else (stream, one.sequence)
            found.append((*place, one.subject, one.headers.get("Nats-Msg-Id"), one.body))
    return found


def missing(wanted, there):
    """What is not there, and what is there more than once."""
    counts = Counter(there)
    return [one[2] for one in wanted if not counts[one]], [one[2] for one in counts if counts[one] > 1]


async def command(stage, folder, *, kill_after=""):
    """Run it, to its end or until it says something; its status and what it said."""
    words = (
        "mesh",
        "rebuild-region",
        LOST,
        "--servers",
        str(stage.up.servers_file),
        "--file",
        str(folder / "mesh.toml"),
    )
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh.cli", *words, stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    said = ""
    async for line in running.stdout:
        said += line.decode()
        if kill_after and kill_after in said:
            running.send_signal(signal.SIGKILL)
    return await running.wait(), said


async def test_a_region_is_rebuilt_without_a_backup(chaos, tmp_path):
    """Each event as it was, elsewhere nothing twice, no mail for what was before; and it sells and mails again."""
    (tmp_path / "mesh.toml").write_text(MESH)
    buyers = [f"buyer-{number}" for number in range(4)]
    async with (
        chaos.mesh(tmp_path / "mesh", (NEAR, LOST), nodes=3, only=(*chaos.selling, "copies")) as stage,
        chaos.load(stage, per_second=8) as load,
    ):
        await load.wait_for_events(400)
        (await load.outcome()).keeps_every_promise()
        led = DemoShoppers(load.client, Storefront(run="led"))

        async def act(visitors, kind):
            sent = [one for visitor in visitors for one in led.act(LOST, visitor, kind, **LAMP)]
            await chaos.until(lambda: all(one.answer == "accepted" for one in sent), f"each {kind} to be stored")

        await act(buyers, "cart")
        await act(buyers, "purchase")
        children = [child for (region, _), child in stage.up.children.items() if region == LOST]
        await asyncio.gather(*(child.stop() for child in children))
        stood = {stream: await events(stage, LOST, stream) for stream in STREAMS}

        async def copied():
            there = await events(stage, NEAR, f"MESH_{NEAR}")
            return all(missing(stood[stream], there) == ([], []) for stream in STREAMS)

        await chaos.until(copied, "everything to be copied")
        await stage.up.servers.kill_region(LOST)
        for name in stage.up.servers.topology.region(LOST).servers:
            shutil.rmtree(stage.up.servers.plan.addresses[name].store)
        await asyncio.sleep(10)  # a region that was just heard is not taken for a lost one
        await stage.up.servers.start_region(LOST)

        killed = await command(stage, tmp_path, kill_after=f"COMMERCE_{LOST}")
        status, said = await command(stage, tmp_path)
        print(said)
        again = {stream: await events(stage, LOST, stream) for stream in STREAMS}
        applied = [str(one) for one in await stage.up.servers.apply() if one.region == LOST]
        # From before its services run, so that a mail for what was before is seen, as one that nobody decided about.
        async with chaos.load(stage, per_second=2) as fresh:
            await asyncio.gather(*(child.start() for child in children))
            await fresh.wait_for_events(60, region=LOST)
            after = await fresh.outcome()
        there = await events(stage, NEAR, f"MESH_{NEAR}")

    assert (killed[0], status) == (-signal.SIGKILL, 0)
    assert applied == []
    for stream in STREAMS:
        assert again[stream][: len(stood[stream])] == stood[stream]
        assert missing(stood[stream], there) == ([], [])
    after.keeps_every_promise()
