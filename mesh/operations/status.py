"""Status: what servers and services report of regions, streams, consumers, staleness, dead letters and themselves."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import MeshError
from mesh.events.mesh import SERVICE_REPORTS
from mesh.mesh import Mesh
from mesh.operations.service_states import Services, ServiceShown
from mesh.service import Service
from mesh.streams import copies, dead_stream
from mesh.topology.access import Access
from mesh.topology.derive.nats import consumers
from mesh.topology.differences import are_as_wanted
from mesh.topology.jetstream_api import listed

PATIENCE = 5.0
"""Seconds that a region may take to answer."""
_SAID_WITHIN = 2.0


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
    """A durable: `lag` messages not yet delivered, `ack_pending` delivered but not acknowledged.

    `outdated`: what it delivers is not what is declared.
    """

    stream: str
    name: str
    lag: int
    ack_pending: int
    redelivered: int
    outdated: bool = False


class RegionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A region as its servers report it. `error` when it does not answer; staleness None: no heartbeat received yet.

    `versions`: that of nats-server on each node that is up. `missing` are the durables that are declared and not
    there, as `stream/durable`. `services` are as they report themselves, with their restarts of the last day.
    """

    region: str
    nodes_up: int
    nodes: int
    versions: dict[str, str] = {}
    streams: tuple[StreamStatus, ...] = ()
    consumers: tuple[ConsumerStatus, ...] = ()
    missing: tuple[str, ...] = ()
    services: tuple[ServiceShown, ...] = ()
    staleness: dict[str, timedelta | None] = {}
    dead: int = 0
    error: str | None = None


async def status_of(access: Access, services: Sequence[Service]) -> list[RegionStatus]:
    """The status of every region that is known; its consumers are compared with what these services declare."""
    return list(await asyncio.gather(*(_region(access, region, services) for region in access.regions)))


async def _region(access: Access, region: str, services: Sequence[Service]) -> RegionStatus:
    urls = access.regions[region].urls
    asked = zip(urls, await asyncio.gather(*map(_version, urls.values())), strict=True)
    versions = {node: version for node, version in asked if version is not None}
    up = len(versions)
    if not up:
        return RegionStatus(region=region, nodes=len(urls), nodes_up=0, error="none of its servers answers")
    try:
        connection = await Connection.open(access.login(region), name="cartmesh-status")
    except MeshError as error:
        return RegionStatus(region=region, nodes=len(urls), nodes_up=up, versions=versions, error=str(error))
    others = tuple(other for other in access.names if other != region)
    mesh = Mesh(JetStreamBroker(connection), "status", others=others, layout=access.layout)
    try:
        streams = await _streams(connection)
        wanted = _declared(access, region, services)
        found = await _consumers(
            connection, [s.name for s in streams if "_" in s.name and s.name[:3] not in ("KV_", "OBJ")], wanted
        )
        dead = next((s.messages for s in streams if s.name == dead_stream(region)), 0)
        return RegionStatus(
            region=region,
            nodes=len(urls),
            nodes_up=up,
            versions=versions,
            streams=tuple(streams),
            consumers=tuple(found),
            missing=tuple(
                f"{stream}/{durable}"
                for stream, durable in sorted(wanted.keys() - {(one.stream, one.name) for one in found})
            ),
            services=await _service_states(mesh, services),
            staleness=await mesh.staleness(),
            dead=dead,
        )
    except MeshError as error:
        return RegionStatus(region=region, nodes=len(urls), nodes_up=up, versions=versions, error=str(error))
    finally:
        await connection.drain()


async def _service_states(mesh: Mesh, services: Sequence[Service]) -> tuple[ServiceShown, ...]:
    expected = [service.name for service in services if service.needs_process and not service.demo]
    reported = Services([mesh.region], expected)
    async for received in mesh.read(*SERVICE_REPORTS):
        reported.add(received)
    return reported.shown(datetime.now(UTC))


async def _streams(connection: Connection) -> list[StreamStatus]:
    found = await listed(connection, "STREAM.LIST", "streams", patience=PATIENCE)
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


def _declared(access: Access, region: str, services: Sequence[Service]) -> dict[tuple[str, str], frozenset[str]]:
    """What each durable has to deliver: (stream, durable) -> filters."""
    bound = {
        (spec.stream, spec.durable): frozenset(spec.filters) for spec in consumers(services, region, access.layout)
    }
    others = (other for other in access.names if other != region)
    copied = [copy for other in others for copy in copies(access.layout, origin=region, target=other)]
    return bound | {(copy.stream, copy.consumer): frozenset((copy.filter,)) for copy in copied}


async def _consumers(
    connection: Connection, streams: list[str], wanted: Mapping[tuple[str, str], frozenset[str]]
) -> list[ConsumerStatus]:
    lists = await asyncio.gather(
        *(listed(connection, f"CONSUMER.LIST.{stream}", "consumers", patience=PATIENCE) for stream in streams)
    )
    return [
        ConsumerStatus(
            stream=stream,
            name=entry["config"]["durable_name"],
            lag=entry.get("num_pending", 0),
            ack_pending=entry.get("num_ack_pending", 0),
            redelivered=entry.get("num_redelivered", 0),
            outdated=_differs(stream, entry["config"], wanted),
        )
        for stream, entries in zip(streams, lists, strict=True)
        for entry in entries
        if entry["config"].get("durable_name")
    ]


def _differs(stream: str, live: Mapping[str, Any], wanted: Mapping[tuple[str, str], frozenset[str]]) -> bool:
    one, durable = live.get("filter_subject"), (stream, live["durable_name"])
    return (
        durable in wanted
        and not are_as_wanted(live)
        and wanted[durable] != frozenset((one,) if one else live.get("filter_subjects") or ())
    )


async def _version(url: str) -> str | None:
    """The version that a server says it is before anybody signs in; None where nothing listens."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    try:
        async with asyncio.timeout(_SAID_WITHIN):
            reader, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return None
    try:
        # Where TLS comes first, a server says it after it has waited for a client that speaks.
        async with asyncio.timeout(_SAID_WITHIN):
            said = await reader.readline()
        return str(msgspec.json.decode(said.removeprefix(b"INFO ").strip()).get("version", ""))
    except (OSError, TimeoutError, ValueError, AttributeError):
        return ""
    finally:
        writer.close()
