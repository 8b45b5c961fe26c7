"""Backup: everything a region holds, as encrypted files, and a region made from them again.

No moment is common to all streams, so their order makes a backup consistent: first the places of the durables, then
what handlers keep (buckets, objects, dead letters), last what they are given (the write streams). After a restore each
durable is given again what came after its place; whatever it already did is found done, as after any redelivery (P2).
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from mesh.broker.connection import Connection
from mesh.errors import MeshError, Unavailable
from mesh.operations.backup_store import COVER, BackupStore
from mesh.operations.sealed_file import SALT_BYTES, SealedWriter, backup_key, chunks
from mesh.operations.stream_snapshot import snapshot
from mesh.topology.derive.nats import Config
from mesh.topology.jetstream_api import listed

CONTENTS = "contents"
FORMAT = 1


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What anybody may know of a backup: its region, when it was begun (aware UTC), and the salt of its key."""

    format: int
    region: str
    begun: datetime
    salt: bytes


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A durable's configuration, and the sequence behind which it goes on."""

    stream: str
    config: dict[str, Any]
    acknowledged: int


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A stream's configuration and state; its content is in the file of its name."""

    config: dict[str, Any]
    state: dict[str, Any]


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup, in the order in which it was saved."""

    streams: tuple[Saved, ...]
    places: tuple[Place, ...]


async def back_up(connection: Connection, to: str, secret: str) -> tuple[str, Contents]:
    """Save the connected region in `to` (a folder, or `s3://bucket/prefix`); where the backup is, and what it holds.

    It is a folder named by region and time. Its cover is written last: what was broken off has none, is no backup,
    and is removed when it fails. Raises Unavailable where NATS or the store does not answer.
    """
    begun, region = datetime.now(UTC), connection.login.region
    store, name = BackupStore.open(to, make=True), f"{region}-{begun:%Y%m%dT%H%M%S.%fZ}"
    cover = Cover(format=FORMAT, region=region, begun=begun, salt=os.urandom(SALT_BYTES))
    try:
        key = backup_key(secret, cover.salt)
        found = sorted(await listed(connection, "STREAM.LIST", "streams"), key=_order)
        places = [place for stream in found for place in await _places(connection, stream["config"]["name"])]
        streams = [await _save(connection, stream["config"]["name"], store, name, key) for stream in found]
        contents = Contents(streams=tuple(streams), places=tuple(places))
        writer = SealedWriter(store, f"{name}/{CONTENTS}", key)
        await writer.write(msgspec.json.encode(contents))
        await writer.close()
        await store.put(f"{name}/{COVER}", msgspec.json.encode(cover))
    except BaseException:
        with suppress(MeshError):  # what failed is what is said
            await store.remove(name)
        raise
    return store.path(name), contents


async def forget_older(to: str, region: str, keep: int) -> list[str]:
    """Delete all backups of a region in `to` that are older than its newest `keep`, and what was begun before them."""
    store = BackupStore.open(to)
    found = [name for name in await store.folders() if _of_region(name) == region and name.endswith("Z")]
    complete = [name for name in found if f"{name}/{COVER}" in await store.files(name)]
    kept = complete[-max(1, keep) :]
    older = [name for name in found if kept and name < kept[0]]
    for name in older:
        await store.remove(name)
    return [store.path(name) for name in older]


async def size_of(backup: str) -> int:
    """How many bytes a backup has."""
    to, _, name = backup.rpartition("/")
    return sum((await BackupStore.open(to).files(name)).values())


async def open_backup(backup: BackupStore, secret: str) -> tuple[Cover, bytes, Contents]:
    """A backup's cover, its key and what it holds. MeshError where it is none, or the key is another one."""
    try:
        cover = msgspec.json.decode(b"".join([piece async for piece in backup.read(COVER)]), type=Cover)
    except (MeshError, msgspec.DecodeError) as error:
        if isinstance(error, Unavailable):
            raise
        raise MeshError(f"{backup.where} is no backup: {error}") from error
    if cover.format != FORMAT:
        raise MeshError(f"{backup.where} has format {cover.format}; this program reads {FORMAT}")
    key = backup_key(secret, cover.salt)
    written = b"".join([chunk async for chunk in chunks(backup, CONTENTS, key)])
    return cover, key, msgspec.json.decode(written, type=Contents)


def _of_region(name: str) -> str:
    return name.rpartition("-")[0]


def _order(stream: Config) -> tuple[int, str]:
    """What handlers keep comes first, what they are given last, and of that the streams with commits and timers."""
    config = stream["config"]
    kept = config["name"].startswith(("KV_", "OBJ_", "DEAD_"))
    return (0 if kept else 2 if config.get("allow_msg_schedules") else 1), config["name"]


async def _places(connection: Connection, stream: str) -> Sequence[Place]:
    """The durables that services pull from; those through which other regions copy are set by those regions."""
    return [
        Place(stream=stream, config=one["config"], acknowledged=one["ack_floor"]["stream_seq"])
        for one in await listed(connection, f"CONSUMER.LIST.{stream}", "consumers")
        if one["config"].get("durable_name") and not one["config"].get("deliver_subject")
    ]


async def _save(connection: Connection, name: str, store: BackupStore, backup: str, key: bytes) -> Saved:
    saved, content = await snapshot(connection, name)
    writer = SealedWriter(store, f"{backup}/{name}", key)
    async for chunk in content:
        await writer.write(chunk)
    await writer.close()
    return Saved(config=saved["config"], state=saved["state"])
