"""Raft log: what each server of a group wrote before it applied it, and drops when the server sees fit.

A value that was erased from a bucket is still in these logs. No request makes a server drop them, and a new leader
drops its own only in part. But a stream with one copy has no such log: a bucket that is given one copy, and then as
many as before, begins with a new one on every server, and the files of the old one are deleted.
"""

import asyncio
from datetime import timedelta
from typing import Any

from mesh.broker.connection import Connection
from mesh.errors import TopologyError, Unavailable
from mesh.streams import Bucket
from mesh.topology.jetstream_api import api

PATIENCE = timedelta(seconds=60)


async def renew_raft_log(connection: Connection, bucket: Bucket[Any]) -> bool:
    """Drop the Raft log of a bucket on every server of the connected region; False where it has one copy, and none.

    For some seconds the bucket has one copy only. Unavailable where not every copy is current, before anything is
    changed: a server that is away would keep its log. TopologyError for what the servers refuse.
    """
    config = await _current(connection, bucket)
    copies = config["num_replicas"]
    if copies == 1:
        return False
    try:
        await _set_copies(connection, config, 1)
    finally:
        await asyncio.shield(_set_copies(connection, config, copies))
    return True


async def _set_copies(connection: Connection, config: dict[str, Any], copies: int) -> None:
    answer = await api(connection, f"STREAM.UPDATE.{config['name']}", {**config, "num_replicas": copies})
    if error := answer.get("error"):
        raise TopologyError(f"{connection.login.region}: {config['name']}: {error.get('description')}")
    deadline = asyncio.get_running_loop().time() + PATIENCE.total_seconds()
    while not _is_current(await api(connection, f"STREAM.INFO.{config['name']}"), copies):
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"{connection.login.region}: {config['name']} has not {copies} current copies yet")
        await asyncio.sleep(0.2)


async def _current(connection: Connection, bucket: Bucket[Any]) -> dict[str, Any]:
    info = await api(connection, f"STREAM.INFO.KV_{bucket.name}")
    if error := info.get("error"):
        raise TopologyError(f"{connection.login.region}: {bucket.name}: {error.get('description')}")
    config: dict[str, Any] = info["config"]
    if not _is_current(info, config["num_replicas"]):
        raise Unavailable(f"{connection.login.region}: not every copy of {bucket.name} is current: try again later")
    return config


def _is_current(info: dict[str, Any], copies: int) -> bool:
    """Whether a stream has a leader and so many copies, none of them behind or away."""
    cluster = info.get("cluster") or {}
    others = cluster.get("replicas") or ()
    alive = all(one.get("current") and not one.get("offline") for one in others)
    return bool(cluster.get("leader")) and len(others) == copies - 1 and alive
