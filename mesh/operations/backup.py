"""Backup: everything a region holds, as encrypted files, and a region made from them again.

No moment is common to all streams, so their order makes a backup consistent: first the places of the durables, then
what handlers keep (buckets, objects, dead letters), last what they are given (the write streams). After a restore each
durable is given again what came after its place; whatever it already did is found done, as after any redelivery (P2).
"""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mesh.broker.connection import Connection
from mesh.errors import MeshError
from mesh.operations.sealed_file import SALT_BYTES, SealedWriter, backup_key, chunks
from mesh.operations.stream_snapshot import snapshot
from mesh.topology.derive.nats import Config
from mesh.topology.jetstream_api import listed

COVER, CONTENTS = "backup.json", "contents"
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


async def back_up(connection: Connection, to: Path, secret: str) -> tuple[Path, Contents]:
    """Save the connected region below `to`, in a folder named by region and time; that folder and what it holds.

    A backup that is not finished has the ending `.part`, and is removed when it fails.
    """
    begun, region = datetime.now(UTC), connection.login.region
    folder = to / f"{region}-{begun:%Y%m%dT%H%M%S.%fZ}"
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, mode=0o700)
    try:
        cover = Cover(format=FORMAT, region=region, begun=begun, salt=os.urandom(SALT_BYTES))
        (part / COVER).write_bytes(msgspec.json.encode(cover))
        key = backup_key(secret, cover.salt)
        found = sorted(await listed(connection, "STREAM.LIST", "streams"), key=_order)
        places = [place for stream in found for place in await _places(connection, stream["config"]["name"])]
        streams = [await _save(connection, stream["config"]["name"], part, key) for stream in found]
        contents = Contents(streams=tuple(streams), places=tuple(places))
        writer = SealedWriter(part / CONTENTS, key)
        writer.write(msgspec.json.encode(contents))
        writer.close()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder, contents


def forget_older(to: Path, region: str, keep: int) -> list[Path]:
    """Delete all but the newest `keep` complete backups of a region below `to`; those that went."""
    complete = sorted(path.parent for path in to.glob(f"{region}-*Z/{COVER}"))
    older = complete[: -max(1, keep)]
    for folder in older:
        shutil.rmtree(folder)
    return older


def open_backup(folder: Path, secret: str) -> tuple[Cover, bytes, Contents]:
    """A backup's cover, its key and what it holds. MeshError where it is none, or the key is another one."""
    try:
        cover = msgspec.json.decode((folder / COVER).read_bytes(), type=Cover)
    except (OSError, msgspec.DecodeError) as error:
        raise MeshError(f"{folder} is no backup: {error}") from error
    if cover.format != FORMAT:
        raise MeshError(f"{folder} has format {cover.format}; this program reads {FORMAT}")
    key = backup_key(secret, cover.salt)
    return cover, key, msgspec.json.decode(b"".join(chunks(folder / CONTENTS, key)), type=Contents)


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


async def _save(connection: Connection, name: str, folder: Path, key: bytes) -> Saved:
    saved, content = await snapshot(connection, name)
    writer = SealedWriter(folder / name, key)
    async for chunk in content:
        writer.write(chunk)
    writer.close()
    return Saved(config=saved["config"], state=saved["state"])
