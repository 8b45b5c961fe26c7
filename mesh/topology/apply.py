"""Apply: make a region's servers match the topology and the services. It reports changes, and loses only by force."""

import asyncio
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Any

from mesh.broker.connection import Connection
from mesh.errors import TopologyError, Unavailable
from mesh.service import Service
from mesh.topology.derive.nats import Config, Holdings, holdings
from mesh.topology.differences import Difference, Verb, changes, verify
from mesh.topology.jetstream_api import PATIENCE, api
from mesh.topology.losses import losses
from mesh.topology.mesh_toml import Topology
from mesh.topology.meta_group import too_many
from mesh.topology.moves import lasting, moves

_FIXED = {"deliver_policy", "opt_start_time", "name"}
"""Consumer settings that only count when it is created."""
_FIXED_OF_STREAMS = {"max_consumers"}
"""Stream settings that the server does not let change."""

_SINGLE_COPY_PATIENCE = 10.0
"""Seconds after which a consumer with one copy is taken to be out of reach, with its server."""
_AT_ONCE = 8


async def apply(
    topology: Topology,
    services: Sequence[Service],
    connections: Mapping[str, Connection],
    *,
    systems: Mapping[str, Connection] | None = None,
    force: Collection[str] = (),
    dry_run: bool = False,
    patience: float = PATIENCE,
) -> list[Difference]:
    """Bring the connected regions to what is declared and return the differences there were.

    `force` names what may lose something: a stream (`COMMERCE_eu`, `KV_seen`), a durable (`COMMERCE_eu/offers-decide`),
    or `servers`. What nobody declares stays, unless it is named. A stream that would keep less than it does or fewer
    copies of it, and, where `systems` has a connection of a region's user `sys`, a region that has more servers than
    are declared, is refused before anything is changed. A source is only
    added once its region can be reached (one that is added earlier retries ever more slowly); a region
    that stays out of reach for `patience` seconds is left for the next time (`wait`).
    Raises TopologyError where something would be lost or a server lacks what decisions need, Unavailable where
    JetStream is not ready.
    """
    regions = [
        _Region(name, connection, holdings(topology, services, name), force=force, dry_run=dry_run, patience=patience)
        for name, connection in connections.items()
    ]
    await asyncio.gather(*(region.look(topology, (systems or {}).get(region.name)) for region in regions))
    refused = [refusal for region in regions for refusal in region.refusals()]
    if refused and not dry_run:
        raise TopologyError("nothing was changed, for something would be lost:\n" + "\n".join(map(str, refused)))
    # A source that is made before the stream it copies, or before the consumer that it copies through, fails, and
    # asks again only after ten seconds and more.
    await asyncio.gather(*(region.bring_origins() for region in regions))
    await asyncio.gather(*(region.bring_copies() for region in regions))
    await asyncio.gather(*(region.delete_surplus() for region in regions))
    return [difference for region in regions for difference in region.differences]


class _Region:
    """One region being brought to what is declared."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        wanted: Holdings,
        *,
        force: Collection[str],
        dry_run: bool,
        patience: float,
    ) -> None:
        self.name, self.connection, self.wanted = name, connection, wanted
        self.force, self.dry_run, self.patience = force, dry_run, patience
        self.differences: list[Difference] = []
        self._live: dict[str, Config] = {}
        self._durables: dict[tuple[str, str], Config] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def look(self, topology: Topology, system: Connection | None) -> None:
        """Read which streams and servers there are."""
        if system and (more := await too_many(system, topology.region(self.name))) and "servers" not in self.force:
            self._note("refuse", "servers", f"{more}; --force servers goes on all the same")
        found, _ = await self._listed("STREAM.LIST", "streams", self.wanted.streams)
        self._live = {config["name"]: config for config in found}

    def refusals(self) -> list[Difference]:
        """Streams that would keep less than they do, and are not named in `force`; also noted as differences."""
        for name, wanted in sorted(self.wanted.streams.items()):
            lost = losses(wanted, self._live.get(name) or {})
            if lost and name not in self.force:
                self._note("refuse", f"stream {name}", f"{'; '.join(lost)}; --force {name} does it all the same")
        return [one for one in self.differences if one.verb == "refuse"]

    async def bring_origins(self) -> None:
        """Streams that copy nothing, with their consumers, buckets and object stores."""
        await self._make_way()
        origins = [config for config in self.wanted.streams.values() if not config.get("sources")]
        giving = [config for config in origins if self._gives_up_subjects(config)]
        await self._bring(giving)  # no two streams may take the same: who takes a subject over comes second
        await self._bring(config for config in origins if config not in giving)
        await self._bring_consumers([config["name"] for config in origins])

    async def _make_way(self) -> None:
        """For subjects that change their stream: refuse where messages would be left behind, unless `force`."""
        leaving = set()
        for move in moves(self._live, self.wanted.streams):
            asked = {"subjects_filter": move.subject}
            answer = await api(self.connection, f"STREAM.INFO.{move.stream}", asked, patience=self.patience)
            left = lasting(answer["state"].get("subjects") or {}, self.name)
            if left and move.stream not in self.force:
                fate = "they stay there, unread" if move.declared else f"they are deleted with {move.stream}"
                raise TopologyError(
                    f"{self.name}: {move.stream} holds {left} messages under {move.subject}, which {move.to} "
                    f"would take. Messages do not move: leave the domain where it is, or apply with "
                    f"--force {move.stream}, and {fate}"
                )
            if not move.declared:
                leaving.add(move.stream)
        for stream in sorted(leaving):  # no two streams may take the same
            await self._do("delete", f"stream {stream}", "others take its subjects", f"STREAM.DELETE.{stream}", None)
            del self._live[stream]

    def _gives_up_subjects(self, wanted: Config) -> bool:
        live = self._live.get(wanted["name"]) or {}
        return not set(live.get("subjects") or ()) <= set(wanted.get("subjects") or ())

    async def bring_copies(self) -> None:
        """Streams that copy others, with their consumers."""
        copying = [config for config in self.wanted.streams.values() if config.get("sources")]
        await self._bring(copying)
        await self._bring_consumers([config["name"] for config in copying])

    async def delete_surplus(self) -> None:
        """What nobody declares."""
        for stream, durable in sorted(self._durables.keys() - self.wanted.consumers.keys()):
            what = f"consumer {durable} on {stream}"
            await self._surplus(f"CONSUMER.DELETE.{stream}.{durable}", what, f"{stream}/{durable}")
        for stream in sorted(self._live.keys() - self.wanted.streams.keys()):
            await self._surplus(f"STREAM.DELETE.{stream}", f"stream {stream} and all it holds", stream)

    async def _bring_consumers(self, streams: Sequence[str]) -> None:
        present = [name for name in streams if name in self._live]
        lists = await asyncio.gather(*(self._list_consumers(name) for name in present))
        unanswered = {(stream, name) for stream, (_, silent) in zip(present, lists, strict=True) for name in silent}
        self._durables |= {
            (stream, config["durable_name"]): config
            for stream, (configs, _) in zip(present, lists, strict=True)
            for config in configs
            if config.get("durable_name")
        }
        for stream, durable in sorted(unanswered & self.wanted.consumers.keys()):
            self._note("wait", f"consumer {durable} on {stream}", "its one server is down; apply again when it is up")
        await asyncio.gather(
            *(
                self._consumer(stream, config, self._durables.get((stream, durable)))
                for (stream, durable), config in self.wanted.consumers.items()
                if stream in streams and (stream, durable) not in unanswered
            )
        )

    async def _list_consumers(self, stream: str) -> tuple[list[Config], set[str]]:
        wanted = {durable: config for (of, durable), config in self.wanted.consumers.items() if of == stream}
        single_copy = {durable for durable, config in wanted.items() if config.get("num_replicas") == 1}
        return await self._listed(f"CONSUMER.LIST.{stream}", "consumers", wanted, single_copy)

    async def _bring(self, configs: Iterable[Config]) -> None:
        await asyncio.gather(*(self._stream(config, self._live.get(config["name"])) for config in configs))

    async def _stream(self, wanted: Config, live: Config | None) -> None:
        if wanted.get("sources"):
            wanted = await self._with_reachable_sources(wanted, live)
        changed = changes(wanted, live, ignore=_FIXED_OF_STREAMS)
        if live is None:
            await self._do("create", f"stream {wanted['name']}", "", f"STREAM.CREATE.{wanted['name']}", wanted)
        elif changed:
            merged = live | {name: value for name, value in wanted.items() if name not in _FIXED_OF_STREAMS}
            await self._do(
                "change", f"stream {wanted['name']}", ", ".join(changed), f"STREAM.UPDATE.{wanted['name']}", merged
            )
            await self._forget_own_copies(wanted, live)

    async def _forget_own_copies(self, wanted: Config, live: Config) -> None:
        """What was copied from a stream of this same region stands there still: once it is no source, its copies go."""
        kept = {source["name"] for source in wanted.get("sources") or []}
        for source in live.get("sources") or []:
            if not source.get("external") and source["name"] not in kept:
                what = f"copies of {source['name']} in {wanted['name']}"
                asked = {"filter": source["filter_subject"]}
                await self._do("delete", what, "the originals stay", f"STREAM.PURGE.{wanted['name']}", asked)

    async def _with_reachable_sources(self, wanted: Config, live: Config | None) -> Config:
        already = {source["name"] for source in (live or {}).get("sources") or []}
        fresh = [source for source in wanted["sources"] if source.get("external") and source["name"] not in already]
        arriving = [True] * len(fresh) if self.dry_run else await asyncio.gather(*map(self._arrives, fresh))
        waiting = {source["name"] for source, arrives in zip(fresh, arriving, strict=True) if not arrives}
        for name in sorted(waiting):
            self._note("wait", f"{wanted['name']} for {name}", "no link; apply again when it is up")
        return wanted | {"sources": [source for source in wanted["sources"] if source["name"] not in waiting]}

    async def _arrives(self, source: Config) -> bool:
        """Whether something is delivered to be copied: a consumer that has nothing to deliver sends heartbeats."""
        return await self.connection.receives(source["consumer"]["deliver_subject"], within=self.patience)

    async def _consumer(self, stream: str, wanted: Config, live: Config | None) -> None:
        what, at = f"consumer {wanted['name']} on {stream}", f"CONSUMER.CREATE.{stream}.{wanted['name']}"
        if live is None:
            await self._do("create", what, "", at, {"stream_name": stream, "config": wanted, "action": "create"})
            return
        changed = changes(wanted, live, ignore=_FIXED)
        if not changed:
            return
        merged = {key: value for key, value in live.items() if not key.startswith("filter_subject")}
        merged |= {key: value for key, value in wanted.items() if key not in _FIXED}
        await self._do(
            "change", what, ", ".join(changed), at, {"stream_name": stream, "config": merged, "action": "update"}
        )

    async def _surplus(self, subject: str, what: str, name: str) -> None:
        if name in self.force:
            await self._do("delete", what, "", subject, None)
        else:
            self._note("keep", what, f"nobody declares it; --force {name} deletes it")

    async def _do(self, verb: Verb, what: str, detail: str, subject: str, asked: Any) -> None:
        self._note(verb, what, detail)
        if self.dry_run:
            return
        async with self._turn:
            answer = await api(self.connection, subject, asked, patience=self.patience)
        if error := answer.get("error"):
            raise TopologyError(
                f"{self.name}: cannot {verb} {what}: {error.get('description')} ({error.get('err_code')})"
            )
        if subject.startswith(("STREAM.CREATE.", "STREAM.UPDATE.")):
            verify(self.name, asked, answer.get("config", {}))

    async def _listed(
        self, subject: str, field: str, wanted: Container[str], single_copy: Container[str] = frozenset()
    ) -> tuple[list[Config], set[str]]:
        """The configurations of all that answer, and the names of those that do not.

        Waits for what is wanted; for what is in `single_copy`, whose only server may be down, no longer than a moment.
        """
        found, unanswered, offset = list[Config](), set[str](), 0
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            answer = await api(self.connection, subject, {"offset": offset}, patience=self.patience)
            if error := answer.get("error"):
                raise TopologyError(f"{self.name}: {subject}: {error.get('description')} ({error.get('err_code')})")
            silent = answer.get("missing") or []
            skip_single_copies = clock() > began + min(self.patience, _SINGLE_COPY_PATIENCE)
            if missing := [
                name for name in silent if name in wanted and not (skip_single_copies and name in single_copy)
            ]:
                # They exist and have no leader yet: whoever takes them for absent creates them a second time.
                # Others may be a process's own, on a server that is down.
                if clock() > began + self.patience:
                    raise Unavailable(f"{self.name}: {subject}: {', '.join(missing)} did not answer")
                found, unanswered, offset = [], set(), 0
                await asyncio.sleep(0.2)
                continue
            page = [entry["config"] for entry in answer.get(field) or []]
            found += page
            unanswered.update(silent)
            offset += len(page) + len(silent)
            if not page or offset >= answer.get("total", 0):
                return found, unanswered

    def _note(self, verb: Verb, what: str, detail: str) -> None:
        self.differences.append(Difference(region=self.name, verb=verb, what=what, detail=detail))
