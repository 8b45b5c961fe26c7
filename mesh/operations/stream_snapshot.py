"""Stream snapshots: a stream's whole content as the server packs it at one moment, and a stream made from it.

Sequences, times, headers, deletions and pending timers stay as they are.
https://docs.nats.io/reference/reference-protocols/nats_api_reference ($JS.API.STREAM.SNAPSHOT and RESTORE)
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from mesh.broker.connection import Connection, status
from mesh.errors import TopologyError, Unavailable
from mesh.topology.derive.nats import Config
from mesh.topology.jetstream_api import api

_COMPLETE = "204"
CHUNK_BYTES = 256 * 1024
PATIENCE = 60.0
"""Seconds that the next chunk may take."""


async def snapshot(connection: Connection, stream: str) -> tuple[Config, AsyncIterator[bytes]]:
    """What the stream is (`config` and `state`), and its content in chunks. Consumers are left out."""
    inbox, parts = connection.client.new_inbox(), asyncio.Queue[Any]()
    arriving = await connection.client.subscribe(inbox, cb=parts.put)
    asked = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES}
    answer = await api(connection, f"STREAM.SNAPSHOT.{stream}", asked)
    if error := answer.get("error"):
        await arriving.unsubscribe()
        raise Unavailable(f"{connection.login.region}: {stream} cannot be saved: {error.get('description')}")

    async def content() -> AsyncIterator[bytes]:
        try:
            while True:
                part = await asyncio.wait_for(parts.get(), PATIENCE)
                if not part.data:  # the end, with the reason where it comes too early
                    if status(part) not in (None, _COMPLETE):
                        raise Unavailable(f"{stream} was not saved to its end: {part.headers}")
                    return
                yield part.data
                if part.reply:  # the server waits for an answer before it sends much more
                    await connection.publish(part.reply, b"")
        except TimeoutError:
            raise Unavailable(f"{connection.login.region}: {stream} was not saved to its end: no answer") from None
        finally:
            await arriving.unsubscribe()

    return {"config": answer["config"], "state": answer["state"]}, content()


async def restore(connection: Connection, saved: Config, content: AsyncIterator[bytes]) -> None:
    """Make a stream of what `snapshot` gave. TopologyError where the server refuses it, such as one that exists."""
    name = saved["config"]["name"]
    answer = await api(connection, f"STREAM.RESTORE.{name}", saved)
    if not answer.get("error"):
        async for chunk in content:
            reply = await connection.request(answer["deliver_subject"], chunk, wait=PATIENCE)
            if reply.data:
                answer = msgspec.json.decode(reply.data)
                break
        else:
            reply = await connection.request(answer["deliver_subject"], b"", wait=PATIENCE)
            answer = msgspec.json.decode(reply.data)
    if error := answer.get("error"):
        raise TopologyError(f"{connection.login.region}: {name} cannot be restored: {error.get('description')}")
