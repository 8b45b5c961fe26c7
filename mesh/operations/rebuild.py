"""Rebuild: empty a projection's bucket and let its handlers see the whole log again, from the lake and the streams."""

import asyncio
from collections.abc import Sequence

import msgspec

from mesh.binding import Binding
from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import DeclarationError, Unavailable
from mesh.lake.settings import LakeSettings
from mesh.mesh import Mesh
from mesh.operations.rebuild_past import give_past, pasts_of, refuse_without_its_past
from mesh.service import Service
from mesh.settings import read
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
    connection: Connection,
    topology: Topology,
    services: Sequence[Service],
    bucket: str,
    *,
    force: bool = False,
    lake: LakeSettings | None = None,
) -> Rebuilt:
    """Rebuild a projection in the connected region while its service runs; returns when it has caught up.

    What the same handlers fill besides is emptied and filled too. What the streams no longer keep is given to the
    handlers from the region's lake, where it has that (`lake`, else CARTMESH_LAKE), and they go on behind it. What was
    made of events that neither has is gone then, so that needs `force`. Interrupted, it leaves a projection that is
    filled in part and follows nothing, until it is rebuilt again.

    Raises DeclarationError for a bucket that is no projection, TopologyError where events are no longer kept, and
    Unavailable when nobody consumes or the lake cannot be read.
    """
    region, broker = connection.login.region, JetStreamBroker(connection)
    filling = projectors(services, bucket)
    wanted = holdings(topology, services, region).consumers
    places = [(spec.stream, spec.durable) for binding in filling for spec in binding.consumers(region, topology.layout)]
    streams = {stream: await answered(connection, f"STREAM.INFO.{stream}", None) for stream in sorted(dict(places))}
    mesh = Mesh(broker, "operator", layout=topology.layout)
    pasts = await pasts_of(mesh, streams, filling, lake or read(LakeSettings))
    if not force:
        refuse_without_its_past(bucket, streams, pasts)
    for stream, durable in places:
        await answered(connection, f"CONSUMER.DELETE.{stream}.{durable}", None)
    emptied = {one.name: one for binding in filling for one in binding.projects}
    for one in emptied.values():
        await broker.kv_purge(one)
    events = 0
    for past in pasts.values():
        events += await give_past(mesh, past, filling)
    for stream, durable in places:
        config = wanted[stream, durable] | (pasts[stream].begins_behind() if stream in pasts else {})
        asked = {"stream_name": stream, "config": config, "action": "create"}
        answer = await answered(connection, f"CONSUMER.CREATE.{stream}.{durable}", asked)
        events += answer.get("num_pending", 0)
    await _caught_up(connection, places)
    keys = sum([1 async for _ in broker.kv_entries(emptied[bucket])])
    return Rebuilt(bucket=bucket, region=region, events=events, keys=keys)


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
