"""A full disk: with one the region goes on, with two it says so; what was acknowledged stays."""

import asyncio
import itertools
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from mesh.errors import Unavailable
from mesh.events.cart import CartUpdated
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.worker import chosen
from mesh.topology.access import OPERATOR
from mesh.topology.apply import api
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from services.demo.replay.report import sent_id

pytestmark = pytest.mark.timeout(600)
SMALL, LARGE = 32, 400
"""Megabytes of a disk that fills up, and of one that does not."""
MOST = 1000
"""Carts; far more than fill the small disk."""
PRICE = {"amount": 100, "currency": "EUR"}
LINES = [{"product_id": f"p{at}", "quantity": 1, "price": PRICE, "name": "x" * 500} for at in range(200)]


@dataclass
class Shop:
    """Sends big carts through the gateway, remembers which were acknowledged, and counts the answers of 503."""

    http: httpx.AsyncClient
    acknowledged: list[str] = field(default_factory=list)
    refusals: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def fill_some(self, count: int) -> None:
        """Some carts, four at a time, each again until it is taken."""
        for _ in range(0, count, 4):
            assert await asyncio.gather(*(self.fill() for _ in range(4))) == [None] * 4

    async def fill(self, *, tries: int = 900) -> httpx.Response | None:
        """One cart of 110 kB, again with the same id until it is taken; the last refusal if it never was in minutes."""
        number = next(self.numbers)
        event = {"id": f"e{number}", "type": "cart_updated", "time": datetime.now(UTC).isoformat()}
        event |= {"visitor_id": "v", "cart_id": f"c{number}", "lines": LINES}
        for _ in range(tries):
            answer = await self.http.post("/v1/events", json={"events": [event]})
            if answer.status_code == 202:
                assert answer.json()["rejected"] == []
                self.acknowledged.append(event["id"])
                return None
            assert answer.status_code == 503, answer.text
            self.refusals += 1
            await asyncio.sleep(0.2)
        return answer


def disk(folder: Path, megabytes: int, *options: str) -> None:
    """A disk of its own for a server, or with the option `remount` another size for it."""
    folder.mkdir(parents=True, exist_ok=True)
    size = ",".join([*options, f"size={megabytes}m"])
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this user may not mount a small disk: {made.stderr.strip()}")


@pytest.fixture
def disks(tmp_path):
    """Disks of the first two of three servers."""
    with ExitStack() as stack:
        folders = [tmp_path / f"us-{at}" / "data" for at in (1, 2)]
        for folder, size in zip(folders, (SMALL, LARGE), strict=True):
            disk(folder, size)
            stack.callback(subprocess.run, ["umount", "-l", folder], check=False)
        yield folders


@pytest.fixture
async def servers(disks, tmp_path):
    """One region of three servers, two of them on disks of their own."""
    async with LocalServers(Topology.of(["us"], nodes=3), tmp_path, chosen([])) as servers:
        yield servers


@pytest.fixture
async def shop(servers, monkeypatch):
    """A shop at a gateway that waits 3 s for JetStream before it answers 503, and takes as many bytes as come."""
    monkeypatch.setenv("CARTMESH_STORE_PATIENCE", "3s")
    for setting in ("CARTMESH_ADDRESS_BYTES", "CARTMESH_KEY_BYTES"):
        monkeypatch.setenv(setting, "1e9")
    (service,) = chosen(["gateway"])
    gateway = await connect(servers.access, "us", service.name)
    try:
        async with (
            running(service, gateway, http=("127.0.0.1", 0)) as run,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{run.port}", headers={"Authorization": "Bearer demo"}, timeout=60
            ) as http,
        ):
            yield Shop(http)
    finally:
        await gateway.broker.drain()


async def test_full_disks_lose_nothing(chaos, servers, shop, disks):
    """With one full disk of three the region takes carts; with two it answers 503; given space, it has everything."""
    operator = await connect(servers.access, "us", OPERATOR)
    try:
        while await holds_up(servers, "us-1"):
            assert len(shop.acknowledged) < MOST, "the disk never filled up"
            await shop.fill_some(8)
        went_on = len(shop.acknowledged)
        await shop.fill_some(24)
        assert len(shop.acknowledged) == went_on + 24

        disk(disks[1], used(disks[1]) + 2, "remount")
        refused = None
        while refused is None:
            assert len(shop.acknowledged) < MOST, "the second disk never filled up"
            refused = await shop.fill(tries=1)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        assert "JetStream" in refused.text

        for index, folder in enumerate(disks, start=1):
            await servers.kill_node("us", index)
            disk(folder, LARGE, "remount")
        for index in (1, 2):
            await servers.start_node("us", index)
        await shop.fill_some(8)
        await chaos.until(lambda: all_current(servers), "every server to have everything")
        await servers.kill_node("us", 3)  # what is read now comes from the two whose disks were full
        stored = await chaos.until(lambda: ids(operator, shop.acknowledged), "every acknowledged cart")
    finally:
        await operator.broker.drain()

    print(f"{len(shop.acknowledged)} acknowledged, answers of 503: {shop.refusals}")
    counted = Counter(stored)
    assert [one for one in shop.acknowledged if counted[one] != 1] == []
    assert max(counted.values()) == 1


def used(folder: Path) -> int:
    """Megabytes in use on a disk, rounded up."""
    usage = os.statvfs(folder)
    return (usage.f_blocks - usage.f_bfree) * usage.f_frsize // 2**20 + 1


async def replicas(servers) -> dict[str, bool]:
    """The servers that follow the commerce stream's leader, and whether they are where it is."""
    info = await api(await servers.operator("us"), "STREAM.INFO.COMMERCE_us")
    cluster = info["cluster"]
    return {cluster.get("leader", ""): True} | {one["name"]: one["current"] for one in cluster.get("replicas", [])}


async def holds_up(servers, name: str) -> bool:
    """Whether a server still has the commerce stream."""
    return (await replicas(servers)).get(name, False)


async def all_current(servers) -> bool:
    """Whether all three have everything."""
    return list((await replicas(servers)).values()) == [True] * 3


async def ids(mesh, wanted: list[str]) -> list[str]:
    """The ids of all stored carts as the storefront gave them, once all that are wanted can be read."""
    try:
        found = [sent_id(one) async for one in mesh.read(CartUpdated)]
    except Unavailable:
        return []
    return found if set(wanted) <= set(found) else []
