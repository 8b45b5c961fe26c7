"""Drain: wait until nothing that a region took in is still on its way, and say what would be lost with the region.

Whoever takes in something new is stopped before; services that handle what is there, `copies` and `heartbeat` run on.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.mesh import Mesh
from mesh.operations.region_bound import region_bound
from mesh.streams import Copy, copies, dead_stream
from mesh.topology.jetstream_api import api, listed
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR

_BETWEEN = 1.0
"""Seconds from one look to the next."""


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What is left of a region: `waiting` is still on its way; `bound` is lost with the region, by name."""

    waiting: tuple[str, ...] = ()
    bound: dict[str, str] = field(default_factory=dict)

    def refused(self, force: Collection[str]) -> list[str]:
        """Why the region must not be removed, with what goes on all the same."""
        kept = [f"{what}; --force {name} leaves it behind" for name, what in self.bound.items() if name not in force]
        return [*self.waiting, *kept]


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One look at a region: what is not done, and how far each write stream has come."""

    undone: dict[str, str]
    ends: dict[str, int]


async def drain(connection: Connection, topology: Topology, *, within: float) -> Drained:
    """Look again and again until all is handled, copied to every other region, and nothing new comes; or time is over.

    `within` is in seconds. Nothing is changed. Raises Unavailable where the region does not answer.
    """
    # Heartbeats go on for ever: of their stream it is enough that a look found it done.
    beating = f"{topology.layout.operations.stream(connection.login.region)}/"
    clock = asyncio.get_running_loop().time
    deadline, always = clock() + within, set[str]()
    before: _Look | None = None
    while True:
        look = await _look(connection, topology)
        always = set(look.undone) if before is None else always & look.undone.keys()
        waiting = [told for name, told in look.undone.items() if not name.startswith(beating) or name in always]
        if before is not None:
            waiting += [
                f"{stream} grows: stop the services that take something in"
                for stream, end in look.ends.items()
                if end != before.ends.get(stream)
            ]
            if not waiting or clock() > deadline:
                return Drained(waiting=tuple(waiting), bound=await _bound(connection, topology))
        before = look
        await asyncio.sleep(_BETWEEN)


async def _look(connection: Connection, topology: Topology) -> _Look:
    region, layout = connection.login.region, topology.layout
    undone, ends = dict[str, str](), dict[str, int]()
    targets = {(copy.stream, copy.consumer): copy.target for copy in _copies(topology, region)}
    for family in layout.families:
        stream = family.stream(region)
        if family is not layout.operations:
            ends[stream] = (await api(connection, f"STREAM.INFO.{stream}"))["state"]["last_seq"]
        found = {one["name"]: one for one in await listed(connection, f"CONSUMER.LIST.{stream}", "consumers")}
        for (of, consumer), target in targets.items():
            if of == stream and consumer not in found:
                undone[f"{stream}/{consumer}"] = f"{target} copies nothing of {stream}: cartmesh mesh apply"
        for name, one in found.items():
            left = one.get("num_pending", 0)
            if not (family is layout.operations and (stream, name) in targets):
                # Copies are acknowledged once nothing came for a second: of a stream with heartbeats hardly ever.
                left += one.get("num_ack_pending", 0)
            if left and one["config"].get("durable_name"):
                undone[f"{stream}/{name}"] = _told(stream, name, left, targets.get((stream, name)))
    return _Look(undone=undone, ends=ends)


def _told(stream: str, durable: str, left: int, target: str | None) -> str:
    if target:
        return f"{target} lacks {left:,} events of {stream}"
    return f"{durable} has {left:,} events of {stream} to handle"


async def _bound(connection: Connection, topology: Topology) -> dict[str, str]:
    """What nobody else has."""
    region, layout = connection.login.region, topology.layout
    mesh = Mesh(JetStreamBroker(connection), OPERATOR, others=topology.others(region), layout=layout)
    found: dict[str, str] = {}
    if timers := await _timers(connection, topology):
        kinds = ", ".join(f"{count:,} of {kind}" for kind, count in sorted(timers.items()))
        found["timers"] = f"{timers.total():,} timers wait ({kinds})"
    if dead := await _messages(connection, dead_stream(region)):
        found["dead"] = f"{dead:,} dead letters: cartmesh dead list --region {region}"
    if personal := await _messages(connection, layout.personal.stream(region)):
        found["personal"] = f"{personal:,} events with personal data are here alone: take a backup, and keep it"
    return found | await region_bound(mesh, region)


async def _timers(connection: Connection, topology: Topology) -> Counter[str]:
    """Timers that wait, by the event that they publish, such as `cart.idle`."""
    region, found = connection.login.region, Counter[str]()
    for family in (one for one in topology.layout.families if one.schedules):
        seen = 0
        while True:
            asked = {"subjects_filter": f"timer.{region}.>", "offset": seen}
            answer = await api(connection, f"STREAM.INFO.{family.stream(region)}", asked)
            page: dict[str, Any] = answer["state"].get("subjects") or {}
            for subject, count in page.items():
                found[".".join(subject.split(".")[2:4])] += count
            seen += len(page)
            if not page or seen >= answer.get("total", 0):
                break
    return found


async def _messages(connection: Connection, stream: str) -> int:
    return int((await api(connection, f"STREAM.INFO.{stream}"))["state"]["messages"])


def _copies(topology: Topology, region: str) -> list[Copy]:
    return [copy for other in topology.others(region) for copy in copies(topology.layout, origin=region, target=other)]
