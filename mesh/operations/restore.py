"""Restore: a region made again from a backup, and what happened since from the copies that other regions hold.

Other regions copy a stream by its sequences, and know how far they came. A restored stream that went back would give
new events old sequences, which nobody copies. So it goes on behind what they have, and gets back what they received.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import MeshError, TopologyError
from mesh.operations.backup import Contents, Place, open_backup
from mesh.operations.backup_store import BackupStore
from mesh.operations.sealed_file import chunks
from mesh.operations.stream_snapshot import restore as restore_stream
from mesh.streams import Copy, copies, mesh_stream
from mesh.subjects import carrier_subject
from mesh.topology.derive.nats import Config, copying_consumer_config
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
    await _make_room(connection, contents, force)
    for saved in contents.streams:
        name = saved.config["name"]
        config = saved.config | {"num_replicas": min(saved.config["num_replicas"], topology.region(region).nodes)}
        await restore_stream(connection, {"config": config, "state": saved.state}, chunks(store, name, key))
        done.streams[name] = saved.state["messages"]
    # Before anything is handled: whoever is given an event finds all that followed from it.
    last = {saved.config["name"]: saved.state["last_seq"] for saved in contents.streams}
    layout, held = topology.layout, [await _held(other, region, last) for other in others]
    copied = [copy for target in topology.others(region) for copy in copies(layout, origin=region, target=target)]
    for saved in (one for one in contents.streams if one.config["name"] in {copy.stream for copy in copied}):
        await _bring_back(connection, saved.config["name"], saved.state["last_seq"], held, copied, done)
    for place in contents.places:
        await _put_in_place(connection, place)
        done.durables += 1
    return done


async def _make_room(connection: Connection, contents: Contents, force: Collection[str]) -> None:
    there = {
        one["config"]["name"]: one["state"]["messages"] for one in await listed(connection, "STREAM.LIST", "streams")
    }
    names = [saved.config["name"] for saved in contents.streams]
    full = [name for name in names if there.get(name) and name not in force]
    # Of a region that is empty, the others' events may be there already: they are copied again behind what was saved.
    if full and full != [mesh_stream(connection.login.region)]:
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


@dataclass(frozen=True, kw_only=True)
class _Held:
    """What another region received of this one, by stream: how far it came, and what it has since the backup."""

    region: str
    newest: dict[str, int]
    since: dict[str, dict[int, Stored]]


async def _held(other: Connection, region: str, last: Mapping[str, int]) -> _Held:
    """Reads all its copies: some 25,000 messages a second. `last` are the newest sequences that were saved."""
    broker, found = JetStreamBroker(other), _Held(region=other.login.region, newest={}, since={})
    async for message in broker.read(mesh_stream(other.login.region), [f"ev.{region}.>"]):
        origin, _, rest = message.headers.get(SOURCE, "").partition(" ")
        stream, sequence = origin.partition(":")[0], int(rest.partition(" ")[0] or 0)
        found.newest[stream] = max(sequence, found.newest.get(stream, 0))
        if sequence > last.get(stream, sequence):
            headers = {name: value for name, value in message.headers.items() if not name.startswith(_OF_ITS_TIME)}
            found.since.setdefault(stream, {})[sequence] = (message.subject, message.body, headers)
    return found


async def _bring_back(
    connection: Connection, stream: str, last: int, held: Sequence[_Held], copied: Sequence[Copy], done: Restored
) -> None:
    """Go on behind the newest message that another region has, and store again there what they received behind `last`.

    Each region copies from there on, and what it lacks of the time before. What it had since the backup it receives a
    second time, as after any redelivery; nothing is missing where one had received more than another.
    """
    newest = max((one.newest.get(stream, 0) for one in held), default=0)
    now = (await api(connection, f"STREAM.INFO.{stream}"))["state"]["last_seq"]
    family = stream.rpartition("_")[0]
    filler = (carrier_subject(connection.login.region, family, "restored"), b"", {"Nats-TTL": "1s"})
    for at in range(now, newest, _AT_ONCE):
        await _stored(connection, [filler] * min(_AT_ONCE, newest - at))
    for copy in copied:
        reached = next((one.newest.get(stream, 0) for one in held if one.region == copy.target), None)
        if copy.stream == stream and reached is not None:
            begins = (reached if reached < last else max(now, newest)) + 1
            place = Place(stream=stream, config=copying_consumer_config(copy), acknowledged=begins - 1)
            await _put_in_place(connection, place)
    since = {sequence: one for region in held for sequence, one in region.since.get(stream, {}).items()}
    ordered = [since[sequence] for sequence in sorted(since)]
    for at in range(0, len(ordered), _AT_ONCE):
        await _stored(connection, ordered[at : at + _AT_ONCE])
    if ordered:
        done.returned[stream], done.passed_over[stream] = len(ordered), max(0, newest - last)


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
