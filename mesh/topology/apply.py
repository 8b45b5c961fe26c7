"""Apply: make a region's servers match the topology and the services. It reports changes, and loses only by force."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh.broker.connection import Connection
from mesh.errors import TopologyError
from mesh.service import Service
from mesh.topology.derive.nats import Config, Holdings, holdings
from mesh.topology.differences import Difference, Verb, are_as_wanted, changes, verify
from mesh.topology.jetstream_api import PATIENCE, api, listed_in_full
from mesh.topology.losses import has_smaller_quota, losses
from mesh.topology.mesh_toml import Topology
from mesh.topology.meta_group import too_many
from mesh.topology.moves import lasting, moves, renamings
from mesh.topology.rebuilding import mark

_FIXED = {"deliver_policy", "opt_start_time", "name"}
"""Consumer settings that only count when it is created."""
_FIXED_OF_STREAMS = {"max_consumers"}
"""Stream settings that the server does not let change."""

_AT_ONCE = 8


async def apply(
    topology: Topology,
    services: Sequence[Service],
    connections: Mapping[str, Connection],
    *,
    systems: Mapping[str, Connection] | None = None,
    force: Collection[str] = (),
    take_over: Mapping[str, str] | None = None,
    expand: bool = False,
    dry_run: bool = False,
    rebuilding: bool = False,
    patience: float = PATIENCE,
) -> list[Difference]:
    """Bring the connected regions to what is declared and return the differences there were.

    `force` names what may lose something: a stream (`COMMERCE_eu`, `KV_seen`), a durable (`COMMERCE_eu/offers-decide`),
    or `servers`. What nobody declares stays, unless it is named. A stream that would keep less than it does or fewer
    copies of it, and, where `systems` has a connection of a region's user `sys`, a region that has more servers than
    are declared, is refused before anything is changed; so is a durable that looks like another one renamed, unless
    `take_over` says old -> new (it begins where the old one is) or `force` names it (it begins at the beginning). One
    that only fills buckets (`projects`) begins at the beginning, and fills them from the whole log. With `expand` what
    is missing is made, and nothing that is there is changed. A source is only added once its region can be reached (one
    that is added earlier retries ever more slowly); a region that stays out of reach for `patience` seconds is left for
    the next time (`wait`). Of a region that is being rebuilt nothing is changed, but by who rebuilds it (`rebuilding`).
    Raises TopologyError where something would be lost or a server lacks what decisions need, Unavailable where
    JetStream is not ready.
    """
    manner = _Manner(
        force=force, take_over=take_over or {}, expand=expand, dry_run=dry_run, rebuilding=rebuilding, patience=patience
    )
    regions = [
        _Region(name, connection, holdings(topology, services, name), manner)
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


@dataclass(frozen=True, kw_only=True)
class _Manner:
    """How regions are brought to what is declared: the options of `apply`."""

    force: Collection[str]
    take_over: Mapping[str, str]
    expand: bool
    dry_run: bool
    rebuilding: bool
    patience: float


def _only_more(wanted: Config, live: Config) -> bool:
    """Whether a stream's sources are those it has and others."""
    return {one["name"] for one in live.get("sources") or ()} <= {one["name"] for one in wanted["sources"]}


class _Region:
    """One region being brought to what is declared."""

    def __init__(self, name: str, connection: Connection, wanted: Holdings, manner: _Manner) -> None:
        self.name, self.connection, self.wanted, self.manner = name, connection, wanted, manner
        self.differences: list[Difference] = []
        self._live: dict[str, Config] = {}
        self._held: dict[str, int] = {}
        self._durables: dict[tuple[str, str], Config] = {}
        self._unanswered: set[tuple[str, str]] = set()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def look(self, topology: Topology, system: Connection | None) -> None:
        """Read which servers, streams and durables there are."""
        if (
            system
            and (more := await too_many(system, topology.region(self.name)))
            and "servers" not in self.manner.force
        ):
            self._note("refuse", "servers", f"{more}; --force servers goes on all the same")
        found, _ = await self._list("STREAM.LIST", "streams", self.wanted.streams)
        self._live = {config["name"]: config for config in found}
        if any(map(mark, found)) and not self.manner.rebuilding:
            raise TopologyError(f"{self.name} is being rebuilt or restored: give that command again, to its end")
        present = [name for name in self.wanted.streams if name in self._live]
        bounded = [one for one in present if has_smaller_quota(self.wanted.streams[one], self._live[one])]
        infos = await asyncio.gather(*(api(self.connection, f"STREAM.INFO.{one}") for one in bounded))
        self._held = {one: info["state"]["bytes"] for one, info in zip(bounded, infos, strict=True) if "state" in info}
        lists = await asyncio.gather(*(self._list_consumers(name) for name in present))
        for stream, (configs, silent) in zip(present, lists, strict=True):
            self._unanswered |= {(stream, name) for name in silent}
            self._durables |= {(stream, one["durable_name"]): one for one in configs if one.get("durable_name")}

    def refusals(self) -> list[Difference]:
        """What would keep less than it does, or begin again, and is not named in `force`; noted as differences."""
        if self.manner.expand:
            return []
        for (stream, durable), renamed in renamings(self.wanted.consumers, self._durables).items():
            if (stream, durable) in self.wanted.projections:
                continue  # a bucket is filled anew, beside the old one
            if durable not in self.manner.take_over.values() and f"{stream}/{durable}" not in self.manner.force:
                told = (
                    f"--take-over {renamed}={durable} goes on where that one is, --force {stream}/{durable} begins anew"
                )
                self._note("refuse", f"consumer {durable} on {stream}", f"{renamed} looks like its old name; {told}")
        for name, wanted in sorted(self.wanted.streams.items()):
            lost = losses(wanted, self._live.get(name) or {}, self._held.get(name))
            if lost and name not in self.manner.force:
                self._note("refuse", f"stream {name}", f"{'; '.join(lost)}; --force {name} does it all the same")
        return [one for one in self.differences if one.verb == "refuse"]

    async def bring_origins(self) -> None:
        """Streams that copy nothing, with their consumers, buckets and object stores."""
        if not self.manner.expand:
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
            answer = await api(self.connection, f"STREAM.INFO.{move.stream}", asked, patience=self.manner.patience)
            left = lasting(answer["state"].get("subjects") or {}, self.name)
            if left and move.stream not in self.manner.force:
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
        silent = {(stream, durable) for stream, durable in self._unanswered if stream in streams}
        for stream, durable in sorted(silent & self.wanted.consumers.keys()):
            self._note("wait", f"consumer {durable} on {stream}", "its one server is down; apply again when it is up")
        await asyncio.gather(
            *(
                self._consumer(stream, config, self._durables.get((stream, durable)))
                for (stream, durable), config in self.wanted.consumers.items()
                if stream in streams and (stream, durable) not in silent
            )
        )

    async def _list_consumers(self, stream: str) -> tuple[list[Config], set[str]]:
        wanted = {durable: config for (of, durable), config in self.wanted.consumers.items() if of == stream}
        single_copy = {durable for durable, config in wanted.items() if config.get("num_replicas") == 1}
        return await self._list(f"CONSUMER.LIST.{stream}", "consumers", wanted, single_copy)

    async def _bring(self, configs: Iterable[Config]) -> None:
        await asyncio.gather(*(self._stream(config, self._live.get(config["name"])) for config in configs))

    async def _stream(self, wanted: Config, live: Config | None) -> None:
        if wanted.get("sources"):
            wanted = await self._with_reachable_sources(wanted, live)
        changed = changes(wanted, live, ignore=_FIXED_OF_STREAMS)
        if live is None:
            await self._do("create", f"stream {wanted['name']}", "", f"STREAM.CREATE.{wanted['name']}", wanted)
        elif changed and self.manner.expand and not (changed == ["sources"] and _only_more(wanted, live)):
            self._note("leave", f"stream {wanted['name']}", ", ".join(changed))
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
        arriving = [True] * len(fresh) if self.manner.dry_run else await asyncio.gather(*map(self._arrives, fresh))
        waiting = {source["name"] for source, arrives in zip(fresh, arriving, strict=True) if not arrives}
        for name in sorted(waiting):
            self._note("wait", f"{wanted['name']} for {name}", "no link; apply again when it is up")
        return wanted | {"sources": [source for source in wanted["sources"] if source["name"] not in waiting]}

    async def _arrives(self, source: Config) -> bool:
        """Whether something is delivered to be copied: a consumer that has nothing to deliver sends heartbeats."""
        return await self.connection.receives(source["consumer"]["deliver_subject"], within=self.manner.patience)

    async def _consumer(self, stream: str, wanted: Config, live: Config | None) -> None:
        what, at = f"consumer {wanted['name']} on {stream}", f"CONSUMER.CREATE.{stream}.{wanted['name']}"
        if live is None:
            wanted, detail = await self._in_its_place(stream, wanted)
            await self._do("create", what, detail, at, {"stream_name": stream, "config": wanted, "action": "create"})
            return
        changed = changes(wanted, live, ignore=_FIXED)
        if not changed:
            return
        if self.manner.expand:
            self._note("leave", what, ", ".join(changed))
            return
        if are_as_wanted(wanted) and are_as_wanted(live):
            wanted = {key: value for key, value in wanted.items() if not key.startswith("filter_subject")}
        else:
            replaced = ("filter_subject", "filter_subjects", "metadata")
            live = {key: value for key, value in live.items() if key not in replaced}
        merged = dict(live)
        merged |= {key: value for key, value in wanted.items() if key not in _FIXED}
        await self._do(
            "change", what, ", ".join(changed), at, {"stream_name": stream, "config": merged, "action": "update"}
        )

    async def _in_its_place(self, stream: str, wanted: Config) -> tuple[Config, str]:
        """A new durable's configuration, beginning behind what the one before has acknowledged, if it takes over."""
        before = next((old for old, new in self.manner.take_over.items() if new == wanted["name"]), None)
        if before is None or (stream, before) not in self._durables:
            return wanted, ""
        answer = await api(self.connection, f"CONSUMER.INFO.{stream}.{before}", patience=self.manner.patience)
        begins = answer["ack_floor"]["stream_seq"] + 1
        return wanted | {"deliver_policy": "by_start_sequence", "opt_start_seq": begins}, f"from {before}, at {begins}"

    async def _surplus(self, subject: str, what: str, name: str) -> None:
        if name in self.manner.force:
            await self._do("delete", what, "", subject, None)
        else:
            self._note("keep", what, f"nobody declares it; --force {name} deletes it")

    async def _do(self, verb: Verb, what: str, detail: str, subject: str, asked: Any) -> None:
        self._note(verb, what, detail)
        if self.manner.dry_run:
            return
        async with self._turn:
            answer = await api(self.connection, subject, asked, patience=self.manner.patience)
        if error := answer.get("error"):
            raise TopologyError(
                f"{self.name}: cannot {verb} {what}: {error.get('description')} ({error.get('err_code')})"
            )
        if subject.startswith(("STREAM.CREATE.", "STREAM.UPDATE.")):
            verify(self.name, asked, answer.get("config", {}))

    async def _list(self, *asked: Any) -> tuple[list[Config], set[str]]:
        return await listed_in_full(self.connection, *asked, patience=self.manner.patience)

    def _note(self, verb: Verb, what: str, detail: str) -> None:
        self.differences.append(Difference(region=self.name, verb=verb, what=what, detail=detail))
