"""Private consumers: a reader's own view of a stream, in memory on one server, without acknowledgement."""

from secrets import token_hex

import msgspec

from mesh.broker.connection import Connection, status
from mesh.broker.pull import Pull
from mesh.broker.wire import Info, decode_info, refused
from mesh.errors import Unavailable


async def follow(
    connection: Connection, stream: str, filters: tuple[str, ...], start: dict[str, object]
) -> tuple[Pull, int]:
    """Create a private consumer: what it delivers, and how many messages wait for it already.

    `start` is the part of its configuration that chooses the first message. A consumer that is lost with its server is
    created again after the last message received.
    """

    async def again() -> str:
        following = {"deliver_policy": "by_start_sequence", "opt_start_seq": pull.sequence + 1}
        return (await _create(connection, stream, filters, following if pull.sequence else start)).name

    info = await _create(connection, stream, filters, start)
    pull = Pull(connection, stream, info.name, lost=again)
    return await pull.open(), info.num_pending


async def _create(connection: Connection, stream: str, filters: tuple[str, ...], start: dict[str, object]) -> Info:
    name = f"private-{token_hex(8)}"
    config = {
        "name": name,
        "ack_policy": "none",
        "filter_subjects": list(filters),
        "inactive_threshold": 60_000_000_000,
        "mem_storage": True,
        "num_replicas": 1,
        **start,
    }
    asked = msgspec.json.encode({"stream_name": stream, "config": config})
    reply = await connection.request(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", asked)
    region = connection.login.region
    if status(reply) == "503":
        raise Unavailable(f"{region}: {stream} has no leader just now, or does not exist")
    info = decode_info(reply.data)
    if info.error is not None:
        raise refused(region, info.error, f"cannot follow {stream}")
    return info
