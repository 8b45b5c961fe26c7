"""SIGKILL of the process that writes the lake, at any moment: its files are exactly the log."""

import asyncio
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from mesh.events.interaction import ProductViewed
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.supervised_process import Child, stop_all
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR
from services.lake import service as lake

TOPOLOGY = Topology.load(Path(__file__).parents[2] / "mesh.toml")
STREAM = "INTERACTIONS_us"


def held(folder: Path) -> pl.DataFrame:
    """The rows of the table, by sequence; none while there is none."""
    try:
        return pl.scan_delta(DeltaTable(folder / "us" / "interactions")).sort("sequence").collect()
    except TableNotFoundError:
        return pl.DataFrame({"sequence": [], "id": []})


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("events", "kills", "writers"),
    [
        pytest.param(2_000, 1, 1, id="small"),
        pytest.param(40_000, 30, 1, id="drill", marks=pytest.mark.drill),
        pytest.param(40_000, 10, 2, id="two-writers", marks=pytest.mark.drill),
    ],
)
async def test_the_lake_is_the_log_whenever_its_process_is_killed(eventually, tmp_path, events, kills, writers):
    """Same ids, same count; also where a second process writes the same tables."""
    folder = tmp_path / "lake"
    settings = {"CARTMESH_LAKE": str(folder), "CARTMESH_LAKE_EVERY": "20ms", "CARTMESH_LAKE_UPKEEP": "500ms"}
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(TOPOLOGY.only("us", nodes=1), services=[lake]))
        operator = await connect(servers.access, "us", OPERATOR)
        stack.push_async_callback(operator.broker.drain)
        files = {"--servers": tmp_path / "servers.json", "--topology": tmp_path / "topology.json"}
        servers.access.write(files["--servers"])
        files["--topology"].write_bytes(msgspec.json.encode(TOPOLOGY.only("us", nodes=1)))
        words = [str(word) for pair in files.items() for word in pair]
        command = [sys.executable, "-m", "mesh.cli", "run", "lake", "--region", "us", *words]
        children = [Child(f"lake-{at}", command, settings, tmp_path) for at in range(writers)]
        stack.push_async_callback(stop_all, children)
        await asyncio.gather(*(child.start() for child in children))

        async def shop() -> None:
            for number in range(0, events, 50):
                some = [ProductViewed(visitor_id=f"v{at}", product_id="p1") for at in range(number, number + 50)]
                await operator.publish(*some)
                await asyncio.sleep(0.02)

        shopping = asyncio.create_task(shop())
        for turn in range(kills):
            before = len(held(folder))
            await eventually(lambda before=before: len(held(folder)) > before or shopping.done())
            await asyncio.sleep(random.uniform(0, 0.2))
            await children[turn % writers].kill()
            await asyncio.wait_for(children[turn % writers].ready.wait(), 60)
        await shopping
        log = [(one.sequence, one.id) async for one in operator.read(ProductViewed)]
        await eventually(lambda: held(folder)["sequence"].max() == log[-1][0], within=120)

    rows = held(folder)
    assert len(log) == events
    assert max(Counter(rows["id"]).values()) == 1
    assert list(zip(rows["sequence"], rows["id"], strict=True)) == log
