"""Rebuild: empty a projection's bucket and let its handlers see the whole log again."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.binding import Binding
from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import DeclarationError, TopologyError, Unavailable
from mesh.service import Service
from mesh.topology.derive.nats import holdings
from mesh.topology.jetstream_api import answered
from mesh.topology.mesh_toml import Topology

PATIENCE = 600.0


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: events that were read again, and keys that the bucket holds now."""

    bucket: str
    region: str
    events: int
    keys: int


def projectors(services: Sequence[Service], bucket: str) -> list[Binding]:
    """The handlers that fill a bucket; DeclarationError lists the buckets that can be rebuilt."""
    bindings = [binding for service in services for binding in service.bindings]
    filling = [binding for binding in bindings if bucket in (one.name for one in binding.projects)]
    if not filling:
        known = sorted({one.name for binding in bindings for one in binding.projects})
        raise DeclarationError(f"{bucket!r} is no projection; there are {', '.join(known) or 'none'}")
    return filling


async def rebuild(
    connection: Connection, topology: Topology, services: Sequence[Service], bucket: str, *, force: bool = False
) -> Rebuilt:
    """Rebuild a projection in the connected region while its service runs; returns when it has caught up.

    What the same handlers fill besides is emptied and filled too. What was made of events that the streams no longer
    keep is gone then, so that needs `force`.

    Raises DeclarationError for a bucket that is no projection, TopologyError where events are no longer kept, and
    Unavailable when nobody consumes.
    """
    region, broker = connection.login.region, JetStreamBroker(connection)
    filling = projectors(services, bucket)
    wanted = holdings(topology, services, region).consumers
    places = [(spec.stream, spec.durable) for binding in filling for spec in binding.consumers(region, topology.layout)]
    if not force:
        await _refuse_without_its_past(connection, bucket, {stream for stream, _ in places})
    for stream, durable in places:
        await answered(connection, f"CONSUMER.DELETE.{stream}.{durable}", None)
    emptied = {one.name: one for binding in filling for one in binding.projects}
    for one in emptied.values():
        await broker.kv_purge(one)
    events = 0
    for stream, durable in places:
        asked = {"stream_name": stream, "config": wanted[stream, durable], "action": "create"}
        answer = await answered(connection, f"CONSUMER.CREATE.{stream}.{durable}", asked)
        events += answer.get("num_pending", 0)
    await _caught_up(connection, places)
    keys = sum([1 async for _ in broker.kv_entries(emptied[bucket])])
    return Rebuilt(bucket=bucket, region=region, events=events, keys=keys)


async def _refuse_without_its_past(connection: Connection, bucket: str, streams: Iterable[str]) -> None:
    """Raises TopologyError where a stream is older than the time for which it keeps events."""
    for stream in sorted(streams):
        info = await answered(connection, f"STREAM.INFO.{stream}", None)
        keep = timedelta(microseconds=info["config"].get("max_age", 0) // 1000)
        if keep and datetime.now(UTC) - datetime.fromisoformat(info["created"]) > keep:
            raise TopologyError(
                f"{stream} no longer keeps events from before {datetime.now(UTC) - keep:%F}: what {bucket} has from "
                "earlier ones would be gone; rebuild it with --force where that is right"
            )


async def _caught_up(connection: Connection, places: Sequence[tuple[str, str]]) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    for stream, durable in places:
        while True:
            info = await answered(connection, f"CONSUMER.INFO.{stream}.{durable}", None)
            if not info.get("num_pending") and not info.get("num_ack_pending"):
                break
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{durable} still has {info['num_pending']} events to read: does its service run?")
            await asyncio.sleep(0.2)
