"""Catch-up: after a long cut a copy asks its source ever more rarely (up to 38 s were measured); this asks now."""

from mesh.broker.connection import Connection
from mesh.errors import TopologyError
from mesh.streams import mesh_stream
from mesh.topology.apply import api
from mesh.topology.derive.nats import Config

_PATIENCE = 10.0


async def catch_up(connection: Connection, region: str) -> None:
    """Make the region's copy of the mesh ask its sources at once. Loses and doubles nothing.

    A new leader asks at once (under a second was measured). A stream of one server has no other leader:
    its sources are taken away and given back, and it goes on behind what it has stored.
    """
    name = mesh_stream(region)
    config = await _answered(connection, f"STREAM.INFO.{name}")
    if config["num_replicas"] > 1:
        await api(connection, f"STREAM.LEADER.STEPDOWN.{name}", patience=_PATIENCE)
        return
    await _answered(connection, f"STREAM.UPDATE.{name}", config | {"sources": []})
    await _answered(connection, f"STREAM.UPDATE.{name}", config)


async def _answered(connection: Connection, subject: str, asked: Config | None = None) -> Config:
    answer = await api(connection, subject, asked, patience=_PATIENCE)
    if error := answer.get("error"):
        raise TopologyError(f"{connection.login.region}: {subject}: {error.get('description')}")
    config: Config = answer["config"]
    return config
