"""Restore: a region made again from a backup, and what happened since from the copies that other regions hold.

Other regions copy a stream by its sequences, and know how far they came. A restored stream that went back would give
new events old sequences, which nobody copies. So it gets back what others received since, and goes on behind it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import MeshError, TopologyError
from mesh.operations.backup import Contents, Place, open_backup
from mesh.operations.sealed_file import chunks
from mesh.operations.stream_snapshot import restore as restore_stream
from mesh.streams import copies, mesh_stream
from mesh.subjects import carrier_subject
from mesh.topology.derive.nats import Config
from mesh.topology.jetstream_api import api, listed
from mesh.topology.mesh_toml import Topology

SOURCE = "Nats-Stream-Source"
"""Where a copy says which message of which stream it is (ADR-31): stream, sequence, and more."""
_OF_ITS_TIME = (SOURCE, "Nats-Expected-", "Nats-Batch-")
"""Headers that held when a message was stored."""
_AT_ONCE = 1000
Stored = tuple[str, bytes, dict[str, str]]


@dataclass
class Restored:
    """What a restore did: messages by stream, durables, and events that came back from other regions, by stream."""

    streams: dict[str, int] = field(default_factory=dict)
    durables: int = 0
    returned: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


async def restore(
    connection: Connection,
    folder: Path,
    secret: str,
    topology: Topology,
    others: Sequence[Connection],
    *,
    force: Collection[str] = (),
) -> Restored:
    """Make the connected region what it was; its services must not run. `others` are the regions that hold copies.

    Streams that are empty are replaced. MeshError, before anything is changed, where one holds messages and is not
    named in `force`, where the backup is another region's, or cannot be read.
    """
    cover, key, contents = open_backup(folder, secret)
    region, done = connection.login.region, Restored()
    if cover.region != region:
        raise MeshError(f"{folder} is a backup of {cover.region}, and this is {region}")
    for saved in contents.streams:  # all of it is read before anything is touched
        for _ in chunks(folder / saved.config["name"], key):
            pass
    await _make_room(connection, contents, force)
    for saved in contents.streams:
        name = saved.config["name"]
        config = saved.config | {"num_replicas": min(saved.config["num_replicas"], topology.region(region).nodes)}
        await restore_stream(connection, {"config": config, "state": saved.state}, chunks(folder / name, key))
        done.streams[name] = saved.state["messages"]
    # Before anything is handled: whoever is given an event finds all that followed from it.
    layout = topology.layout
    copied = {
        copy.stream for target in topology.others(region) for copy in copies(layout, origin=region, target=target)
    }
    for saved in (one for one in contents.streams if one.config["name"] in copied):
        await _bring_back(connection, saved.config["name"], saved.state["last_seq"], others, done)
    for place in contents.places:
        await _put_in_place(connection, place)
        done.durables += 1
    return done


async def _make_room(connection: Connection, contents: Contents, force: Collection[str]) -> None:
    there = {
        one["config"]["name"]: one["state"]["messages"] for one in await listed(connection, "STREAM.LIST", "streams")
    }
    names = [saved.config["name"] for saved in contents.streams]
    if full := [name for name in names if there.get(name) and name not in force]:
        raise MeshError(
            f"{connection.login.region} is not empty, nothing was changed: {', '.join(full)} hold messages. "
            "Name each with --force to replace it by what was saved"
        )
    for name in names:
        if name in there:
            await _ask(connection, f"STREAM.DELETE.{name}", None)


async def _put_in_place(connection: Connection, place: Place) -> None:
    config = {name: value for name, value in place.config.items() if name != "opt_start_time"}
    config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": place.acknowledged + 1}
    asked = {"stream_name": place.stream, "config": config, "action": "create"}
    await _ask(connection, f"CONSUMER.CREATE.{place.stream}.{config['name']}", asked)


async def _bring_back(
    connection: Connection, stream: str, last: int, others: Sequence[Connection], done: Restored
) -> None:
    """Store again what other regions received of a stream behind `last`, and go on behind the newest of it."""
    found: dict[int, Stored] = {}
    for other in others:
        found |= await _copies(other, connection.login.region, stream, last)
    ordered = [found[sequence] for sequence in sorted(found)]
    for at in range(0, len(ordered), _AT_ONCE):
        await _stored(connection, ordered[at : at + _AT_ONCE])
    newest = max(found, default=last)
    now = (await api(connection, f"STREAM.INFO.{stream}"))["state"]["last_seq"]
    family = stream.rpartition("_")[0]
    filler = (carrier_subject(connection.login.region, family, "restored"), b"", {"Nats-TTL": "1s"})
    for at in range(now, newest, _AT_ONCE):
        await _stored(connection, [filler] * min(_AT_ONCE, newest - at))
    if found:
        done.returned[stream], done.skipped[stream] = len(found), max(0, newest - now)


async def _copies(other: Connection, region: str, stream: str, last: int) -> dict[int, Stored]:
    """Copies of a stream's messages behind `last` that another region holds, by the sequence they had."""
    broker, found = JetStreamBroker(other), dict[int, Stored]()
    async for message in broker.read(mesh_stream(other.login.region), [f"ev.{region}.>"]):
        origin, _, rest = message.headers.get(SOURCE, "").partition(" ")
        sequence = int(rest.partition(" ")[0] or 0)
        if origin.partition(":")[0] == stream and sequence > last:
            headers = {name: value for name, value in message.headers.items() if not name.startswith(_OF_ITS_TIME)}
            found[sequence] = (message.subject, message.body, headers)
    return found


async def _stored(connection: Connection, messages: Sequence[Stored]) -> None:
    for answer in await connection.request_each(messages):
        if isinstance(answer, MeshError):
            raise answer
        reply: Config = msgspec.json.decode(answer.data)
        if error := reply.get("error"):
            raise TopologyError(f"{connection.login.region}: cannot store: {error.get('description')}")


async def _ask(connection: Connection, subject: str, asked: object) -> None:
    if error := (await api(connection, subject, asked)).get("error"):
        raise TopologyError(f"{connection.login.region}: {subject}: {error.get('description')}")
