"""The past of a rebuild: what handlers are given from the lake before their consumers begin behind it.

A lake holds the region's own streams. Of what other regions' events a region has copied there is no lake: those a
projection reads from `MESH_<region>` alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mesh.binding import Binding
from mesh.broker.protocol import Message
from mesh.errors import TopologyError, Unavailable
from mesh.event import Declaration, declaration_of
from mesh.lake.settings import LakeSettings
from mesh.mesh import Mesh
from mesh.past_events import give_past_events, parts
from mesh.subjects import every

if TYPE_CHECKING:
    from mesh.lake.past import LakePast

Config = dict[str, Any]
ANSWERED_WITHIN = 60.0
PATIENCE = 120.0
"""Seconds for which a service may be unable to take an event."""


class StreamPast:
    """What the lake has of a stream, beside the stream as it is: `info` is the answer to STREAM.INFO."""

    def __init__(self, lake: "LakePast", info: Config) -> None:
        self.lake, self._info = lake, info

    def begins_behind(self) -> Config:
        """What makes a consumer begin behind the lake."""
        return {"deliver_policy": "by_start_sequence", "opt_start_seq": self.lake.place + 1}

    def gap(self, now: datetime) -> str | None:
        """Why lake and stream together may lack events; None when they hold all there ever were."""
        state, keep = self._info["state"], kept_for(self._info)
        if not keep:
            return None
        if self.lake.begun - datetime.fromisoformat(self._info["created"]) > keep:
            return f"the lake begins on {self.lake.begun:%F}, when the stream had let go of events already"
        if state["first_seq"] > self.lake.place + 1 and now - self.lake.newest > keep:
            return f"the lake ends on {self.lake.newest:%F}, and the stream begins later"
        return None


async def pasts_of(
    mesh: Mesh, streams: Mapping[str, Config], filling: Sequence[Binding], settings: LakeSettings
) -> dict[str, StreamPast]:
    """What the lake has of each stream that the stream no longer has. Raises Unavailable.

    TopologyError where a table is of another stream.
    """
    if not settings.lake:
        return {}
    from mesh.lake.past import open_past  # noqa: PLC0415  brings polars, which is not needed without a lake

    found: dict[str, StreamPast] = {}
    for stream, info in streams.items():
        lake = await open_past(mesh, stream, settings)
        if lake is None or lake.first >= info["state"]["first_seq"]:
            continue
        if not await lake.is_of(mesh):
            raise TopologyError(
                f"{lake.address} holds another stream than {stream}, up to {lake.place}: that was made anew, or "
                "restored from an older backup; name another place with CARTMESH_LAKE, or none"
            )
        found[stream] = StreamPast(lake, info)
    for service, durable in {(one.service, one.durable) for one in filling} if found else ():
        answer = await give_past_events(mesh.broker, service, durable, (), patience=ANSWERED_WITHIN)
        if answer.error is not None:
            raise Unavailable(f"{service} cannot be given what the lake has: {answer.error}")
    return found


def refuse_without_its_past(bucket: str, streams: Mapping[str, Config], pasts: Mapping[str, StreamPast]) -> None:
    """Raises TopologyError where a stream is older than the time for which it keeps events, and no lake has them."""
    now = datetime.now(UTC)
    for stream, info in streams.items():
        keep, past = kept_for(info), pasts.get(stream)
        if not keep or not info["state"]["last_seq"] or now - datetime.fromisoformat(info["created"]) <= keep:
            continue
        missing = "there is no lake that has them" if past is None else past.gap(now)
        if missing:
            raise TopologyError(
                f"{stream} no longer keeps events from before {now - keep:%F}, and {missing}: what {bucket} has from "
                "such ones would be gone; rebuild it with --force where that is right"
            )


def kept_for(info: Config) -> timedelta:
    """How long a stream keeps events; zero: for ever."""
    return timedelta(microseconds=info["config"].get("max_age", 0) // 1000)


async def give_past(mesh: Mesh, past: StreamPast, filling: Sequence[Binding]) -> int:
    """Have running services handle what the lake has of a stream, in its order, all handlers together; the number.

    Raises Unavailable.
    """
    wanted = _wanted(mesh, past.lake.stream, filling)
    declarations = {declaration_of(kind) for binding in filling for kind in binding.kinds}
    count = 0
    async for messages in past.lake.messages(declarations):
        for bindings, run in groupby(messages, key=lambda one: wanted.get(one.subject.rpartition(".")[0], ())):
            for part in parts(list(run)):
                for binding in bindings:
                    await _handled(mesh, binding, part)
                    count += len(part)
    return count


def _wanted(mesh: Mesh, stream: str, filling: Sequence[Binding]) -> dict[str, tuple[Binding, ...]]:
    """By an event's subject without its key: the handlers that take it."""
    found: dict[str, tuple[Binding, ...]] = {}
    for binding in filling:
        for kind in binding.kinds:
            if mesh.stream_of(kind) == stream:
                subject = _without_key(declaration_of(kind), mesh.region)
                found[subject] = (*found.get(subject, ()), binding)
    return found


def _without_key(declaration: Declaration, region: str) -> str:
    return every(declaration, region=region).rpartition(".")[0]


async def _handled(mesh: Mesh, binding: Binding, messages: Sequence[Message]) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE
    while True:
        answer = await give_past_events(
            mesh.broker, binding.service, binding.durable, messages, patience=ANSWERED_WITHIN
        )
        if answer.error is None:
            return
        if not answer.again or clock() > deadline:
            raise Unavailable(f"{binding.durable} did not take the past: {answer.error}. Begin again")
        await asyncio.sleep(0.5)
