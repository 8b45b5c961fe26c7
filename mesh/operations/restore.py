"""Restore: a region made again from a backup, and what happened since from the copies that other regions hold.

Other regions copy a stream by its sequences, and know how far they came. A restored stream that went back would give
new events old sequences, which nobody copies. So it is given back what they received, at the sequences which that had,
and goes on behind it. Timers wait until then: one that was cancelled meanwhile does not fire.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Message
from mesh.errors import MeshError, TopologyError
from mesh.operations.backup import Saved, open_backup
from mesh.operations.backup_store import BackupStore
from mesh.operations.own_copies import OwnCopies
from mesh.operations.refill import refill
from mesh.operations.region_streams import make_consumer, make_room
from mesh.operations.sealed_file import chunks
from mesh.operations.stream_snapshot import restore as restore_stream
from mesh.streams import copies
from mesh.topology.derive.nats import Config, copying_consumer_config
from mesh.topology.jetstream_api import answered
from mesh.topology.mesh_toml import Topology
from mesh.topology.rebuilding import closed

_AT_ONCE = 1000


@dataclass
class Restored:
    """What a restore did: messages by stream, durables, and events that came back from other regions, by stream.

    `passed_over`: sequences that had been given since the backup, and are not given again.
    """

    streams: dict[str, int] = field(default_factory=dict)
    durables: int = 0
    returned: dict[str, int] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)


async def restore(
    connection: Connection,
    backup: str,
    secret: str,
    topology: Topology,
    others: Sequence[Connection],
    *,
    force: Collection[str] = (),
) -> Restored:
    """Make the connected region what it was; its services must not run. `others` are the regions that hold copies.

    `backup` is where `back_up` made it, a folder or below `s3://bucket`. Streams that are empty are replaced. Raises
    MeshError, before anything is changed, where one holds messages and is not named in `force`, where the backup is
    another region's, or cannot be read; Unavailable where its store does not answer.
    """
    store = BackupStore.open(backup)
    cover, key, contents = await open_backup(store, secret)
    region, done = connection.login.region, Restored()
    if cover.region != region:
        raise MeshError(f"{backup} is a backup of {cover.region}, and this is {region}")
    for saved in contents.streams:  # all of it is read before anything is touched
        async for _ in chunks(store, saved.config["name"], key):
            pass
    copied = {
        copy.stream
        for target in topology.others(region)
        for copy in copies(topology.layout, origin=region, target=target)
    }
    await make_room(connection, [saved.config["name"] for saved in contents.streams], force)
    for saved in contents.streams:
        name, config = saved.config["name"], _here(saved, topology, region)
        if others and name in copied:  # without schedules no timer fires
            config = closed(config, "restore") | {"allow_msg_schedules": False}
        await restore_stream(connection, {"config": config, "state": saved.state}, chunks(store, name, key))
        done.streams[name] = saved.state["messages"]
    # Before anything is handled: whoever is given an event finds all that followed from it.
    for saved in (one for one in contents.streams if others and one.config["name"] in copied):
        held = OwnCopies(others, region, saved.config["name"])
        await _catch_up(connection, topology, _here(saved, topology, region), held, done)
    for place in contents.places:
        await make_consumer(connection, place.stream, place.config, place.acknowledged + 1)
        done.durables += 1
    return done


def _here(saved: Saved, topology: Topology, region: str) -> Config:
    """A saved stream's configuration in a region that may have fewer servers by now."""
    return saved.config | {"num_replicas": min(saved.config["num_replicas"], topology.region(region).nodes)}


async def _catch_up(
    connection: Connection, topology: Topology, config: Config, held: OwnCopies, done: Restored
) -> None:
    """Store what others received since the backup, have each go on behind what it has, and set the timers again."""
    stream, cancelled = config["name"], set[str]()
    last = (await answered(connection, f"STREAM.INFO.{stream}"))["state"]["last_seq"]
    pending = [one async for one in JetStreamBroker(connection).read(stream, [f"timer.{held.region}.>"])]
    await answered(connection, f"STREAM.PURGE.{stream}", {"filter": f"timer.{held.region}.>"})
    await answered(connection, f"STREAM.UPDATE.{stream}", closed(config, "restore"))
    if count := await refill(connection, stream, held, cancelled):
        done.returned[stream], done.passed_over[stream] = count, max(held.reached.values()) - last
    for target, reached in held.reached.items():
        for copy in copies(topology.layout, origin=held.region, target=target):
            if copy.stream == stream:
                await make_consumer(connection, stream, copying_consumer_config(copy), reached + 1)
    await answered(connection, f"STREAM.UPDATE.{stream}", config | {"metadata": {}})
    timers = [one for one in pending if one.subject not in cancelled]
    for at in range(0, len(timers), _AT_ONCE):
        await _set_again(connection, timers[at : at + _AT_ONCE])


async def _set_again(connection: Connection, timers: Sequence[Message]) -> None:
    """Without their ids, which the stream may have seen just now."""
    kept = ("Nats-Schedule", "Nats-Schedule-Target", "Nats-Schedule-TTL", "Nats-TTL")
    sent = [
        (
            one.subject,
            one.body,
            {name: value for name, value in one.headers.items() if not name.startswith("Nats-") or name in kept},
        )
        for one in timers
    ]
    for answer in await connection.request_each(sent):
        if isinstance(answer, MeshError):
            raise answer
        if error := msgspec.json.decode(answer.data).get("error"):
            raise TopologyError(f"{connection.login.region}: a timer cannot be set: {error.get('description')}")
