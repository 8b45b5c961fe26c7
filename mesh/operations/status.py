"""Status: what the servers report of regions, streams, consumers, staleness and dead letters."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import MeshError
from mesh.mesh import Mesh
from mesh.streams import dead_stream
from mesh.topology.access import Access
from mesh.topology.apply import api


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A stream: messages, bytes, its leader, its copies that are current, and sources that do not answer."""

    name: str
    messages: int
    bytes: int
    leader: str
    current: int
    replicas: int
    silent_sources: tuple[str, ...] = ()


class ConsumerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A durable: `lag` messages not yet delivered, `unanswered` delivered but not acknowledged."""

    stream: str
    name: str
    lag: int
    unanswered: int
    redelivered: int


class RegionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A region as its servers report it. `error` when it does not answer; staleness None: no heartbeat received yet."""

    region: str
    nodes_up: int
    nodes: int
    streams: tuple[StreamStatus, ...] = ()
    consumers: tuple[ConsumerStatus, ...] = ()
    staleness: dict[str, timedelta | None] = {}
    dead: int = 0
    error: str | None = None


async def status_of(access: Access) -> list[RegionStatus]:
    """The status of every region that is known."""
    return list(await asyncio.gather(*(_region(access, region) for region in access.regions)))


async def _region(access: Access, region: str) -> RegionStatus:
    urls = access.regions[region].urls
    up = sum(await asyncio.gather(*(_answers(url) for url in urls.values())))
    if not up:
        return RegionStatus(region=region, nodes=len(urls), nodes_up=0, error="none of its servers answers")
    try:
        connection = await Connection.open(access.login(region), name="cartmesh-status")
    except MeshError as error:
        return RegionStatus(region=region, nodes=len(urls), nodes_up=up, error=str(error))
    others = tuple(other for other in access.regions if other != region)
    mesh = Mesh(JetStreamBroker(connection), "status", others=others, layout=access.layout)
    try:
        streams = await _streams(connection)
        consumers = await _consumers(
            connection, [s.name for s in streams if "_" in s.name and s.name[:3] not in ("KV_", "OBJ")]
        )
        dead = next((s.messages for s in streams if s.name == dead_stream(region)), 0)
        return RegionStatus(
            region=region,
            nodes=len(urls),
            nodes_up=up,
            streams=tuple(streams),
            consumers=tuple(consumers),
            staleness=await mesh.staleness(),
            dead=dead,
        )
    except MeshError as error:
        return RegionStatus(region=region, nodes=len(urls), nodes_up=up, error=str(error))
    finally:
        await connection.drain()


async def _streams(connection: Connection) -> list[StreamStatus]:
    found = await _listed(connection, "STREAM.LIST", "streams")
    return sorted((_stream(entry) for entry in found), key=lambda one: one.name)


def _stream(entry: Mapping[str, Any]) -> StreamStatus:
    state, cluster = entry["state"], entry.get("cluster") or {}
    followers = cluster.get("replicas") or []
    return StreamStatus(
        name=entry["config"]["name"],
        messages=state["messages"],
        bytes=state["bytes"],
        leader=cluster.get("leader", ""),
        current=1 + sum(bool(one.get("current")) for one in followers),
        replicas=entry["config"].get("num_replicas", 1),
        silent_sources=tuple(one["name"] for one in entry.get("sources") or [] if one.get("active", 0) < 0),
    )


async def _consumers(connection: Connection, streams: list[str]) -> list[ConsumerStatus]:
    lists = await asyncio.gather(*(_listed(connection, f"CONSUMER.LIST.{stream}", "consumers") for stream in streams))
    return [
        ConsumerStatus(
            stream=stream,
            name=entry["config"]["durable_name"],
            lag=entry.get("num_pending", 0),
            unanswered=entry.get("num_ack_pending", 0),
            redelivered=entry.get("num_redelivered", 0),
        )
        for stream, entries in zip(streams, lists, strict=True)
        for entry in entries
        if entry["config"].get("durable_name")
    ]


async def _listed(connection: Connection, subject: str, field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = await api(connection, subject, {"offset": len(found)}, patience=5.0)
        page = answer.get(field) or []
        found += page
        if not page or len(found) >= answer.get("total", 0):
            return found


async def _answers(url: str) -> bool:
    host, _, port = url.rpartition("//")[2].rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 2.0)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
