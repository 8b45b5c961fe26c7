"""Meta group: the servers of a region that agree on where its streams are. One that is only stopped still counts.

A server is taken out of it while it runs: its streams' copies move to the others, and it stops serving JetStream.
https://docs.nats.io/running-a-nats-service/nats_admin/jetstream_admin/cluster_admin
"""

import asyncio
from dataclasses import dataclass

import msgspec

from mesh.broker.connection import Connection
from mesh.errors import TopologyError, Unavailable
from mesh.topology.derive.nats import Config
from mesh.topology.jetstream_api import listed
from mesh.topology.regions import Region

PATIENCE = 600.0
"""Seconds that moving the copies of one server may take."""
_SILENT = 5e9
"""Nanoseconds after which a server that said nothing is taken to be down: all speak once a second."""
_LEADER = b'{"leader_only":true}'


@dataclass(frozen=True, kw_only=True)
class Member:
    """A server in the group, and whether it is up."""

    name: str
    up: bool


async def members(system: Connection) -> tuple[Member, ...]:
    """The group as its leader knows it, by name; nobody where there is one server and no group.

    `system` is a connection of the user `sys`. Unavailable where the group has no leader.
    """
    reply = await system.request("$SYS.REQ.SERVER.PING.JSZ", _LEADER)
    group = msgspec.json.decode(reply.data)["data"].get("meta_cluster")
    if not group:
        return ()
    peers = {peer["name"]: peer.get("active", 0) < _SILENT and not peer.get("offline") for peer in group["replicas"]}
    return tuple(Member(name=name, up=up) for name, up in sorted({group["leader"]: True, **peers}.items()))


async def too_many(system: Connection, region: Region) -> str:
    """Why a region must not have as few servers as are declared, or nothing."""
    known = await members(system)
    if len(known) <= region.nodes:
        return ""
    down = [one.name for one in known if not one.up]
    stopped = f", of which {', '.join(down)} are stopped and still count for the majority" if down else ""
    return (
        f"{region.name} has {len(known)} servers{stopped}, mesh.toml says {region.nodes}. Take out one after another: "
        f"cartmesh mesh remove-server {(down or [one.name for one in known])[-1]} --region {region.name}"
    )


async def remove(system: Connection, operator: Connection, server: str) -> int:
    """Take a server out of its region's group and wait until every copy it had stands elsewhere; how many moved.

    TopologyError where a stream would have fewer copies than it should, Unavailable where the copies do not move.
    """
    region, known = operator.login.region, await members(system)
    names = [one.name for one in known]
    if server not in names:
        raise TopologyError(f"{server} is no server of {region}'s group; there are {', '.join(names) or 'none'}")
    streams = await _streams(operator)
    copies = max(map(_copies, streams), default=1)
    if len(names) - 1 < copies:
        raise TopologyError(f"{region} has {len(names)} servers and streams with {copies} copies: none can be spared")
    if single := [one["config"]["name"] for one in streams if server in _holders(one) and _copies(one) == 1]:
        raise TopologyError(f"{server} has the only copy of {', '.join(single)}: it would be lost")
    moving = [stream["config"]["name"] for stream in streams if server in _holders(stream)]
    reply = msgspec.json.decode((await system.request("$JS.API.SERVER.REMOVE", _asked(server))).data)
    if error := reply.get("error"):
        raise TopologyError(f"{region}: cannot remove {server}: {error.get('description')}")
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE
    while waiting := await _unsettled(operator, server):
        if clock() > deadline:
            raise Unavailable(f"{region}: {', '.join(waiting)} lack a current copy; leave {server} running")
        await asyncio.sleep(0.5)
    return len(moving)


def _asked(server: str) -> bytes:
    return msgspec.json.encode({"peer": server})


async def _unsettled(operator: Connection, server: str) -> list[str]:
    """The streams and durables that do not stand whole without a server."""
    streams = await _streams(operator)
    waiting = [one["config"]["name"] for one in streams if server in _holders(one) or not _is_whole(one)]
    for stream in streams:
        name = stream["config"]["name"]
        durables = await listed(operator, f"CONSUMER.LIST.{name}", "consumers")
        waiting += [
            f"{name}/{one['name']}" for one in durables if server in _holders(one) or not one["cluster"].get("leader")
        ]
    return waiting


async def _streams(operator: Connection) -> list[Config]:
    return await listed(operator, "STREAM.LIST", "streams")


def _copies(stream: Config) -> int:
    return int(stream["config"]["num_replicas"])


def _holders(stream: Config) -> set[str]:
    cluster = stream.get("cluster") or {}
    return {cluster.get("leader", ""), *(one["name"] for one in cluster.get("replicas") or ())}


def _is_whole(stream: Config) -> bool:
    followers = (stream.get("cluster") or {}).get("replicas") or ()
    return len(followers) + 1 >= _copies(stream) and all(one.get("current") for one in followers)
