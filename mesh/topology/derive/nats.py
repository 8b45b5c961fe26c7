"""JetStream: topology and services as the streams, consumers, buckets and object stores a region must hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from mesh.broker.durable import consumer_config
from mesh.errors import DeclarationError
from mesh.event import declared
from mesh.personal_data import PERSONAL_KEYS, encrypts
from mesh.service import Service
from mesh.streams import (
    DEFAULT_LAYOUT,
    Bucket,
    ConsumerSpec,
    Copy,
    ObjectStore,
    Stream,
    StreamFamily,
    StreamLayout,
    copies,
    dead_stream,
    mesh_stream,
)
from mesh.subjects import carrier_subject
from mesh.topology.mesh_toml import Topology
from mesh.topology.server_settings import DROPS_OLDEST
from mesh.web.sign_in_buckets import READ_BY_PAGES

Config = dict[str, Any]

MOST_CONSUMERS = 2_000
"""Consumers of a stream, so that a service's password cannot fill the servers with them. Fixed once it is created."""
COPIES_ON_THE_WAY = 5_000
"""Messages that a copy may have before it stored them: with 80 ms between regions that is 60,000 messages a second."""


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What a region holds, as JetStream API configurations: streams by name, consumers by (stream, durable).

    `projections` are the consumers that only fill buckets: they may begin at the oldest event at any time.
    """

    streams: dict[str, Config] = field(default_factory=dict)
    consumers: dict[tuple[str, str], Config] = field(default_factory=dict)
    projections: frozenset[tuple[str, str]] = frozenset()


def holdings(topology: Topology, services: Sequence[Service], region: str) -> Holdings:
    """Everything that must exist in a region. DeclarationError when two services disagree about a bucket."""
    replicas = topology.replicas_in(region)
    made = {stream.name: _bounded(stream_config(stream), topology.quotas) for stream in streams(topology, region)}
    for bucket in distinct(bucket for service in services for bucket in buckets_of(service)):
        made[f"KV_{bucket.name}"] = bucket_config(bucket, replicas)
    for object_store in distinct(object_store for service in services for object_store in service.object_stores):
        made[f"OBJ_{object_store.name}"] = object_store_config(object_store, replicas)
    return Holdings(
        streams=made,
        consumers={
            **{
                (spec.stream, spec.durable): consumer_config(spec)
                for spec in consumers(services, region, topology.layout)
            },
            **{
                (copy.stream, copy.consumer): copying_consumer_config(copy)
                for target in topology.others(region)
                for copy in copies(topology.layout, origin=region, target=target)
            },
        },
        projections=frozenset(
            (spec.stream, spec.durable)
            for service in services
            for binding in service.bindings
            if binding.projects
            for spec in binding.consumers(region, topology.layout)
        ),
    )


def streams(topology: Topology, region: str) -> tuple[Stream, ...]:
    """The streams of a region: its write streams, copies of other regions' events, and dead letters.

    `MESH_<r>` copies other regions' atomic streams, but neither timers nor personal data.
    """
    replicas, layout = topology.replicas_in(region), topology.layout
    return (
        *(_write_stream(family, layout, region, replicas) for family in layout.families),
        Stream(
            name=mesh_stream(region),
            subjects=(f"mesh.{region}.none",),  # without sources JetStream needs a subject; nobody may publish on it
            sources=tuple(copy for origin in topology.others(region) for copy in copies(layout, origin, target=region)),
            keep=max(family.keep for family in layout.copied),
            replicas=replicas,
            description="What the other regions did, readable here",
        ),
        Stream(
            name=dead_stream(region),
            subjects=(f"dead.{region}.>",),
            replicas=replicas,
            description="Messages that could not be handled, with the reason, until they are driven again",
        ),
    )


def _write_stream(family: StreamFamily, layout: StreamLayout, region: str, replicas: int) -> Stream:
    homes = {(one.root, one.domain): layout.family_of(one) for one in declared()}
    mine = sorted(place for place, home in homes.items() if home == family)
    timers = sorted({domain for _, domain in mine}) if family.schedules else []
    return Stream(
        name=family.stream(region),
        subjects=(
            *(f"{root}.{region}.{domain}.>" for root, domain in mine),
            *(f"timer.{region}.{domain}.>" for domain in timers),
            *([carrier_subject(region, family.name, "*")] if family.atomic else []),
        ),
        keep=family.keep,
        replicas=replicas,
        atomic=family.atomic,
        schedules=family.schedules,
        duplicate_window=timedelta(minutes=10),
        description=family.description,
    )


def consumers(services: Iterable[Service], region: str, layout: StreamLayout = DEFAULT_LAYOUT) -> list[ConsumerSpec]:
    """Every durable consumer of a region, by service and handler."""
    return [spec for service in services for binding in service.bindings for spec in binding.consumers(region, layout)]


def distinct(named: Iterable[Any]) -> list[Any]:
    """Buckets or object stores by name, each once; DeclarationError when two of one name differ.

    Sharing one is possible, by importing the same declaration from the package that owns it.
    """
    found: dict[str, Any] = {}
    for one in named:
        taken = found.setdefault(one.name, one)
        if taken != one:
            raise DeclarationError(f"{one.name!r} is declared twice, as {_shown(taken)} and {_shown(one)}: rename one")
    return [found[name] for name in sorted(found)]


def _shown(one: Bucket[Any] | ObjectStore) -> str:
    if isinstance(one, ObjectStore):
        return "a object store"
    kind = f"{one.kind.__module__}.{one.kind.__qualname__}"
    return f"a bucket of {kind} (history {one.history}, ttl {one.ttl})"


def buckets_of(service: Service) -> tuple[Bucket[Any], ...]:
    """The buckets that a service touches: its own, those it reads, who is signed in, and the keys of personal data."""
    keys = (PERSONAL_KEYS,) if service.reads_personal_data or encrypts(service.publishes) else ()
    signed_in = READ_BY_PAGES if service.pages else ()
    return (*service.buckets, *service.views, *signed_in, *keys)


def stream_config(stream: Stream) -> Config:
    """A stream as the JetStream API wants it (ADR-8, ADR-50, ADR-51)."""
    config: Config = {
        "name": stream.name,
        "description": stream.description,
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": stream.replicas,
        "max_consumers": MOST_CONSUMERS,
        "max_age": _nanoseconds(stream.keep),
        "duplicate_window": _nanoseconds(stream.duplicate_window),
        "allow_direct": True,
        "allow_msg_ttl": True,
    }
    if stream.subjects:
        config["subjects"] = list(stream.subjects)
    if stream.sources is not None:
        config["sources"] = [_source(copy) for copy in stream.sources]
    if stream.atomic:
        config["allow_atomic"] = True
    if stream.schedules:
        config["allow_msg_schedules"] = True
    return config


def _bounded(config: Config, quotas: Mapping[str, int]) -> Config:
    """A stream with the quota of its family. The servers set that much of their disk aside for it."""
    family = config["name"].partition("_")[0]
    if family not in quotas:
        return config | {"max_bytes": -1}
    return config | {"max_bytes": quotas[family], "discard": "old" if family in DROPS_OLDEST else "new"}


def bucket_config(bucket: Bucket[Any], replicas: int) -> Config:
    """A key-value bucket's stream (ADR-8). With a `ttl` the server leaves markers, so watchers see the expiry."""
    window = min(bucket.ttl or timedelta(minutes=2), timedelta(minutes=2))
    config: Config = {
        "name": f"KV_{bucket.name}",
        "subjects": [f"$KV.{bucket.name}.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_msgs_per_subject": bucket.history,
        "max_age": _nanoseconds(bucket.ttl),
        "duplicate_window": _nanoseconds(window),
        "allow_rollup_hdrs": True,
        "allow_atomic": True,
        "deny_delete": not bucket.erasable,
        "allow_direct": True,
        "allow_msg_ttl": True,
    }
    if bucket.ttl:
        config["subject_delete_marker_ttl"] = _nanoseconds(max(window, timedelta(seconds=1)))
    return config


def object_store_config(object_store: ObjectStore, replicas: int) -> Config:
    """An object store's stream (ADR-20)."""
    return {
        "name": f"OBJ_{object_store.name}",
        "subjects": [f"$O.{object_store.name}.C.>", f"$O.{object_store.name}.M.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_age": 0,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }


def copying_consumer_config(copy: Copy) -> Config:
    """The durable through which another region copies a stream (ADR-60); the server that copies acknowledges."""
    return {
        "name": copy.consumer,
        "durable_name": copy.consumer,
        "description": f"What {copy.target} copies",
        "deliver_subject": copy.delivered_on,
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_policy": "flow_control",
        "max_ack_pending": COPIES_ON_THE_WAY,
        "max_deliver": -1,
        "filter_subject": copy.filter,
        "flow_control": True,
        "idle_heartbeat": _nanoseconds(timedelta(seconds=1)),
        "num_replicas": 0,
    }


def _source(copy: Copy) -> Config:
    """A source of a stream. The filter is the consumer's, which the origin makes."""
    return {
        "name": copy.stream,
        "external": {"api": f"$JS.{copy.origin}.API", "deliver": ""},
        "consumer": {"name": copy.consumer, "deliver_subject": copy.delivered_on},
    }


def _nanoseconds(time: timedelta | None) -> int:
    return 0 if time is None else int(time.total_seconds() * 1e9)
