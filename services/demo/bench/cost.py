"""The cost card of an event: what one cart or one view makes the servers store, copy, deliver and acknowledge."""

import asyncio
from collections.abc import Mapping

import msgspec
import psutil

from mesh.broker.connection import Connection
from mesh.errors import Unavailable
from mesh.runtime.up import Up
from mesh.streams import MESH
from mesh.topology.jetstream_api import api

PATIENCE = 300.0
"""Seconds after which consumers that still have something to deliver are an error, and not only slow."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the servers started.

    Messages `stored` by stream (buckets are streams named `KV_...`), `delivered` and `acknowledged` by all durable
    consumers; seconds of CPU of servers and of service processes.
    """

    stored: dict[str, int]
    delivered: int
    acknowledged: int
    servers_cpu: float
    services_cpu: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one event costs.

    Messages `stored` in write streams, `copied` into mesh streams, written to `buckets`, `delivered` and
    `acknowledged`; milliseconds of CPU of servers and of services.
    """

    stored: float
    copied: float
    buckets: float
    delivered: float
    acknowledged: float
    servers_cpu_ms: float
    services_cpu_ms: float


async def counts(operator: Connection, up: Up, region: str) -> Counts:
    """The counters of a region as they are now."""
    streams = await listed(operator, "STREAM.LIST", "streams")
    consumers = [
        consumer
        for stream in streams
        for consumer in await listed(operator, f"CONSUMER.LIST.{stream['config']['name']}", "consumers")
        if consumer["config"].get("durable_name")
    ]
    servers = [process.pid for process in psutil.Process().children() if "nats-server" in process.name()]
    services = [child.process.pid for (where, _), child in up.children.items() if where == region]
    return Counts(
        stored={stream["config"]["name"]: stream["state"]["last_seq"] for stream in streams},
        delivered=sum(consumer["delivered"]["consumer_seq"] for consumer in consumers),
        acknowledged=sum(consumer["ack_floor"]["consumer_seq"] for consumer in consumers),
        servers_cpu=sum(map(_cpu, servers)),
        services_cpu=sum(map(_cpu, services)),
    )


async def settled(operator: Connection) -> None:
    """Return once no durable consumer has anything left to deliver or to acknowledge; Unavailable after a while."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE
    while True:
        waiting = 0
        for stream in await listed(operator, "STREAM.LIST", "streams"):
            for consumer in await listed(operator, f"CONSUMER.LIST.{stream['config']['name']}", "consumers"):
                if consumer["config"].get("durable_name"):
                    waiting += consumer["num_pending"] + consumer["num_ack_pending"]
        if not waiting:
            return
        if clock() > deadline:
            raise Unavailable(f"after {PATIENCE:.0f} s consumers still have {waiting} messages to deliver")
        await asyncio.sleep(0.5)


def cost(before: Counts, after: Counts, idle: Mapping[str, float], *, seconds: float, events: int) -> Cost:
    """What each of `events` cost between two counts, less what an idle region does by itself (`idle`, a second)."""

    def each(name: str, spent: float) -> float:
        return round((spent - idle[name] * seconds) / events, 3)

    spent = figures(before, after)
    return Cost(
        stored=each("stored", spent["stored"]),
        copied=each("copied", spent["copied"]),
        buckets=each("buckets", spent["buckets"]),
        delivered=each("delivered", spent["delivered"]),
        acknowledged=each("acknowledged", spent["acknowledged"]),
        servers_cpu_ms=each("servers_cpu_ms", spent["servers_cpu_ms"]),
        services_cpu_ms=each("services_cpu_ms", spent["services_cpu_ms"]),
    )


def figures(before: Counts, after: Counts) -> dict[str, float]:
    """What came between two counts."""
    grown = {name: count - before.stored.get(name, 0) for name, count in after.stored.items()}

    def within(prefixes: tuple[str, ...]) -> int:
        return sum(count for name, count in grown.items() if name.startswith(prefixes))

    buckets, copied = within(("KV_", "OBJ_")), within((f"{MESH}_",))
    return {
        "stored": sum(grown.values()) - buckets - copied,
        "copied": copied,
        "buckets": buckets,
        "delivered": after.delivered - before.delivered,
        "acknowledged": after.acknowledged - before.acknowledged,
        "servers_cpu_ms": (after.servers_cpu - before.servers_cpu) * 1000,
        "services_cpu_ms": (after.services_cpu - before.services_cpu) * 1000,
    }


async def listed(operator: Connection, subject: str, what: str) -> list[dict]:
    """All streams or consumers that a server lists (`STREAM.LIST`, `CONSUMER.LIST.<stream>`). Raises Unavailable."""
    found: list[dict] = []
    while True:
        page = await api(operator, subject, {"offset": len(found)})
        found += page.get(what) or []
        if len(found) >= page.get("total", 0) or not page.get(what):
            return found


def _cpu(pid: int) -> float:
    """Seconds of a process and its children, also of those that ended."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return sum(one.cpu_times().user + one.cpu_times().system for one in family)
    except psutil.NoSuchProcess:
        return 0.0
