"""Rebuild a region: an empty one is given its events back from the copies that other regions hold, without a backup.

1. Its copied streams are made closed (`mesh.topology.rebuilding`) and refilled, each event at the sequence it had.
2. On each the consumers of the other regions go on behind what these have, and the durables of its services at the end,
   but for those that fill something from events alone: they begin at the beginning. Then the stream is opened.
3. The other streams are made, and the other regions' events copied. Durables on those begin shortly before the loss.
4. Services hold back what the region may have given away unseen (`mesh.operations.held_back`).
5. What is still missing is made, and the marks are taken off.

Every step finds done what was done before: killed, the command is given again.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import MeshError, Unavailable
from mesh.event import declared
from mesh.events.mesh import MeshHeartbeat
from mesh.mesh import Mesh
from mesh.operations.fail_over import HEARD_WITHIN
from mesh.operations.held_back import hold_back
from mesh.operations.own_copies import OwnCopies, source_of
from mesh.operations.rebuilt_region import RebuiltRegion
from mesh.operations.refill import refill
from mesh.operations.region_streams import make_consumer, make_room
from mesh.service import Service
from mesh.streams import copies, mesh_stream
from mesh.topology.apply import apply
from mesh.topology.derive.nats import Holdings, copying_consumer_config, holdings
from mesh.topology.jetstream_api import answered, listed
from mesh.topology.mesh_toml import Topology
from mesh.topology.rebuilding import Command, closed, mark, opened
from mesh.topology.secrets import OPERATOR

LISTENED = 3.0
"""Seconds in which a service of the region would be heard: each region has a heartbeat every second."""
BEFORE = timedelta(minutes=10)
"""How long before the loss durables on the other regions' events begin: what was not handled yet is given again."""
PATIENCE = 150.0
"""Seconds without a new copy: a server may wait up to two minutes before it asks another region again."""
_COMMAND: Command = "rebuild-region"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
Report = Callable[[str], None]


async def rebuild_region(
    connection: Connection,
    topology: Topology,
    services: Sequence[Service],
    others: Sequence[Connection],
    *,
    force: Collection[str] = (),
    keep: Collection[str] = (),
    report: Report = lambda _: None,
) -> RebuiltRegion:
    """Rebuild the connected region, whose services must not run, from `others`.

    Raises MeshError, before anything is changed, where a stream holds messages and is not named in `force`, where the
    region is alive, or nobody holds anything of it; Unavailable where a region does not answer.
    """
    work = _Rebuilding(connection, topology, services, others, report)
    await work.begin(force)
    await work.fill_all()
    await work.copy_others()
    held = await hold_back(work.mesh, work.lost_at, keep)
    await apply(topology, services, {work.region: connection}, expand=True, rebuilding=True)
    await work.unmark()
    return RebuiltRegion(lost_at=work.lost_at, events=await work.counts(), held_back=held)


class _Rebuilding:
    """One region being rebuilt."""

    def __init__(
        self,
        connection: Connection,
        topology: Topology,
        services: Sequence[Service],
        others: Sequence[Connection],
        report: Report,
    ) -> None:
        self.connection, self.topology, self.others, self.report = connection, topology, others, report
        self._services = services
        self.region = connection.login.region
        self.wanted: Holdings = holdings(topology, services, self.region)
        self.lost_at = _EVER
        self.mesh = Mesh(
            JetStreamBroker(connection), OPERATOR, others=topology.others(self.region), layout=topology.layout
        )
        self._streams = [family.stream(self.region) for family in topology.layout.copied]
        bindings = [binding for service in services for binding in service.bindings]
        self._refilled = {binding.durable for binding in bindings if binding.is_refilled}

    async def begin(self, force: Collection[str]) -> None:
        """Refuse, or make the copied streams, closed."""
        if not self.others:
            raise MeshError(f"no other region was given: {self.region} can only be restored from a backup")
        if await self.connection.receives(f"ev.{self.region}.>", within=LISTENED):
            raise MeshError(f"services of {self.region} run: stop them first, nothing was changed")
        marks = await self._marks()
        if "restore" in marks.values():
            raise MeshError(f"a restore of {self.region} was not finished: give that command again, with --force")
        if not any(marks.values()):
            await self._check_streams()
            await self._check_lost()
            await make_room(self.connection, self.wanted.streams, force)
            marks = {}
        for stream in self._streams:
            if stream not in marks:
                made = closed(self.wanted.streams[stream], _COMMAND)
                await answered(self.connection, f"STREAM.CREATE.{stream}", made)

    async def _check_streams(self) -> None:
        """What came from a stream that the `mesh.toml` does not declare would be left out."""
        for other in self.others:
            name = other.login.region
            declared_there = holdings(self.topology, self._services, name).streams
            there = {one["config"]["name"] for one in await listed(other, "STREAM.LIST", "streams")}
            if more := sorted(one for one in there - declared_there.keys() if one.endswith(f"_{name}")):
                raise MeshError(
                    f"{name} has {', '.join(more)}, which this mesh.toml does not declare: "
                    "give the one that the mesh was made from; nothing was changed"
                )

    async def _check_lost(self) -> None:
        heard, held = list[datetime](), 0
        for other in self.others:
            there = Mesh(JetStreamBroker(other), OPERATOR, others=(self.region,), layout=self.topology.layout)
            if beat := await there.last(MeshHeartbeat, self.region, region=self.region):
                heard.append(beat.event.at)
            held += await there.broker.count(mesh_stream(other.login.region), f"ev.{self.region}.>", _EVER)
        if not held:
            names = " and ".join(other.login.region for other in self.others)
            raise MeshError(f"{names} never received anything of {self.region}: there is nothing to rebuild it from")
        if heard and datetime.now(UTC) - max(heard) < HEARD_WITHIN:
            raise MeshError(f"{self.region} was heard a moment ago: it is not lost, nothing was changed")

    async def fill_all(self) -> None:
        """Refill each stream, put the consumers of it in their places, and open it."""
        marks = await self._marks()
        left = [stream for stream in self._streams if marks[stream] == _COMMAND]
        filled = [datetime.fromisoformat(one) for one in marks.values() if one and one != _COMMAND]
        self.lost_at = max(filled, default=_EVER)
        for stream in left:
            held = OwnCopies(self.others, self.region, stream)
            count = await refill(self.connection, stream, held)
            self.lost_at = max(self.lost_at, held.newest)
            await self._place_consumers(stream, held)
            self.report(f"{stream}: {count:,} events came back")
        for stream in left:
            config = opened(self.wanted.streams[stream], self.lost_at)
            await answered(self.connection, f"STREAM.UPDATE.{stream}", config)

    async def _place_consumers(self, stream: str, held: OwnCopies) -> None:
        """Nothing stores anything in a closed stream: however often this is done, the places are the same."""
        last = (await answered(self.connection, f"STREAM.INFO.{stream}"))["state"]["last_seq"]
        await self._place_durables(stream, last + 1)
        for target, reached in held.reached.items():
            for copy in copies(self.topology.layout, origin=self.region, target=target):
                if copy.stream == stream:
                    await make_consumer(self.connection, stream, copying_consumer_config(copy), reached + 1)

    async def _place_durables(self, stream: str, begins: int) -> None:
        for (of, durable), config in self.wanted.consumers.items():
            if of == stream and not config.get("deliver_subject"):
                place = None if durable in self._refilled else begins
                await make_consumer(self.connection, stream, config, place)

    async def copy_others(self) -> None:
        """The streams that are left, and the other regions' events; the durables on these begin before the loss."""
        stream = mesh_stream(self.region)
        if stream not in await self._marks():
            await self._begin_copies_anew()
        made = await apply(self.topology, (), {self.region: self.connection}, expand=True, rebuilding=True)
        unreachable = [one for one in made if one.verb == "wait"]
        asked = {other.login.region for other in self.others}
        if missing := [str(one) for one in unreachable if any(one.detail and name in one.what for name in asked)]:
            raise Unavailable("; ".join(missing))
        there = {one["name"] for one in await listed(self.connection, f"CONSUMER.LIST.{stream}", "consumers")}
        if there >= {durable for of, durable in self.wanted.consumers if of == stream}:
            return
        for other in self.others:
            await self._caught_up(other)
        await self._place_durables(stream, await self._first_since(stream, self.lost_at - BEFORE))

    async def _begin_copies_anew(self) -> None:
        """Have all delivered again: a stream without a copy asks for what comes behind the newest it acknowledged."""
        for other in self.others:
            for copy in copies(self.topology.layout, origin=other.login.region, target=self.region):
                await answered(other, copy.reset_api.removeprefix("$JS.API."), {"seq": 1})

    async def _caught_up(self, other: Connection) -> None:
        """Wait until what another region has stored up to now is copied."""
        clock, stream = asyncio.get_running_loop().time, mesh_stream(self.region)
        origin, here = JetStreamBroker(other), self.mesh.broker
        for copy in copies(self.topology.layout, origin=other.login.region, target=self.region):
            last = await origin.last(copy.stream, copy.filter)
            deadline, before = clock() + PATIENCE, -1
            while last is not None:
                copied = await here.last(stream, last.subject)
                if copied and source_of(copied.headers)[1] >= last.sequence:
                    break
                consumer = await answered(other, f"CONSUMER.INFO.{copy.stream}.{copy.consumer}")
                if (given := consumer["delivered"]["stream_seq"]) != before:
                    deadline, before = clock() + PATIENCE, given
                if clock() > deadline:
                    raise Unavailable(
                        f"{self.region} receives nothing of {copy.stream}: is the link up, does `copies` run there?"
                    )
                await asyncio.sleep(0.2)

    async def _first_since(self, stream: str, since: datetime) -> int:
        """The sequence of the first event that happened since then, or the next one."""
        last = 0
        async for message in self.mesh.broker.read(stream, ["ev.>"]):
            last = message.sequence
            if _decode(message.body).time >= since:
                return last
        return last + 1

    async def unmark(self) -> None:
        """The region is as any other."""
        for stream in self._streams:
            config = self.wanted.streams[stream] | {"metadata": {}}
            await answered(self.connection, f"STREAM.UPDATE.{stream}", config)

    async def counts(self) -> dict[str, int]:
        """Events of the region, by domain."""
        layout = self.topology.layout
        homes = {one.domain: layout.stream_of(one, self.region) for one in declared() if layout.travels(one)}
        found = {
            domain: await self.mesh.broker.count(stream, f"ev.{self.region}.{domain}.>", _EVER)
            for domain, stream in sorted(homes.items())
        }
        return {domain: count for domain, count in found.items() if count}

    async def _marks(self) -> dict[str, str | None]:
        """The mark of each stream that there is."""
        return {
            one["config"]["name"]: mark(one["config"])
            for one in await listed(self.connection, "STREAM.LIST", "streams")
        }


class _Happened(msgspec.Struct):
    time: datetime


_decode = msgspec.json.Decoder(_Happened).decode
