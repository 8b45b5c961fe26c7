"""Region streams: a region's streams and consumers as they are made anew, by a restore or a rebuild."""

from collections.abc import Collection

from mesh.broker.connection import Connection
from mesh.errors import MeshError
from mesh.streams import mesh_stream
from mesh.topology.derive.nats import Config
from mesh.topology.jetstream_api import answered, listed


async def make_room(connection: Connection, names: Collection[str], force: Collection[str]) -> None:
    """Delete these streams. MeshError, and nothing is changed, where one holds messages and is not named in `force`."""
    there = {
        one["config"]["name"]: one["state"]["messages"] for one in await listed(connection, "STREAM.LIST", "streams")
    }
    full = [name for name in names if there.get(name) and name not in force]
    # Of a region that is empty, the others' events may be there already: they are copied again.
    if full and full != [mesh_stream(connection.login.region)]:
        raise MeshError(
            f"{connection.login.region} is not empty, nothing was changed: {', '.join(full)} hold messages. "
            "Name each with --force to replace it"
        )
    for name in names:
        if name in there:
            await answered(connection, f"STREAM.DELETE.{name}")


async def make_consumer(connection: Connection, stream: str, config: Config, begins: int | None) -> None:
    """Make a consumer that begins at a sequence; None: where it is declared to."""
    if begins is not None:
        config = {name: value for name, value in config.items() if name != "opt_start_time"}
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": begins}
    asked = {"stream_name": stream, "config": config, "action": "create"}
    await answered(connection, f"CONSUMER.CREATE.{stream}.{config['name']}", asked)
