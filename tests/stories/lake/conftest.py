"""A region in memory with the service `lake`, whose tables lie in a folder of the test."""

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import Running, running
from services.lake import service as lake
from services.lake.status import LakeStatus, TableStatus


@dataclass
class Place:
    """A region with the service, its lake, and somebody who publishes events."""

    mesh: Mesh
    run: Running
    folder: Path
    eventually: Callable[..., Any]

    async def table(self, name: str) -> TableStatus:
        """A table as the page knows it."""
        return next(one for one in await self.run.provided[LakeStatus].tables() if one.name == name)

    async def holding(self, name: str, count: int) -> TableStatus:
        """A table once it has so many events."""

        async def found() -> TableStatus | None:
            now = await self.table(name)
            return now if now.rows == count else None

        return await self.eventually(found)

    def rows(self, name: str) -> pl.DataFrame:
        """A table's rows as they were stored, by sequence."""
        return pl.scan_delta(str(self.folder / self.mesh.region / name)).sort("sequence").collect()

    def held(self, name: str) -> list[str]:
        """The ids in a table; none while there is no table."""
        there = DeltaTable.is_deltatable(str(self.folder / self.mesh.region / name))
        return self.rows(name)["id"].to_list() if there else []

    async def log(self, stream: str) -> list[dict[str, Any]]:
        """A stream's events as the JSON that is stored."""
        found = self.mesh.broker.read(stream, [f"*.{self.mesh.region}.>"])
        return [json.loads(message.body) async for message in found if message.subject.startswith(("ev.", "pii."))]


@pytest.fixture
async def open_place(eventually, monkeypatch, tmp_path):
    """Open a region with settings, whose lake commits at once."""
    async with AsyncExitStack() as stack:

        async def open_(
            regions: MemoryMesh | None = None, *, folder: Path = tmp_path / "lake", pages: bool = False, **settings: str
        ) -> Place:
            for name, value in {"LAKE": str(folder), "LAKE_EVERY": "50ms", "LAKE_RESERVE_MB": "0", **settings}.items():
                monkeypatch.setenv(f"CARTMESH_{name}", value)
            regions = regions or MemoryMesh("us")
            brokers = [regions.broker("us") for _ in range(2)]
            for broker in brokers:
                stack.push_async_callback(broker.drain)
            http = ("127.0.0.1", 0) if pages else None
            run = await stack.enter_async_context(running(lake, Mesh(brokers[0], "lake"), http=http))
            return Place(Mesh(brokers[1], "shop"), run, folder, eventually)

        yield open_


@pytest.fixture
async def place(open_place):
    """A region with a lake."""
    return await open_place()
