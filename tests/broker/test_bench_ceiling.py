"""What the benchmark compares with, on real servers."""

from mesh.broker.raw import RawClient
from mesh.runtime.local_servers import LocalServers
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology
from services.demo.bench.ceiling import STREAM, ceiling


async def test_the_ceiling_stores_both_messages_and_leaves_nothing(monkeypatch):
    """Each cart is an event and a timer in a replicated stream, which is gone afterwards."""
    stored = []

    async def seen(connection, subject, asked=None):
        if subject == f"STREAM.DELETE.{STREAM}":
            stored.append((await api(connection, f"STREAM.INFO.{STREAM}"))["state"]["messages"])
        return await api(connection, subject, asked)

    monkeypatch.setattr("services.demo.bench.ceiling.api", seen)
    async with LocalServers(Topology.of(("us",), nodes=3)) as servers:
        operator = await servers.operator("us")
        async with RawClient.connect(servers.credentials("us")) as raw:
            rate = await ceiling(raw, operator, carts=20, in_one_batch=8)
        streams = (await api(operator, "STREAM.NAMES"))["streams"]

    assert stored == [40]
    assert rate > 0
    assert STREAM not in streams
