"""Topology: the contents of `mesh.toml`, checked: regions, links, copies, retention, residency."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from mesh.errors import TopologyError
from mesh.settings import duration
from mesh.streams import COMMERCE, INTERACTIONS, OPERATIONS, PERSONAL, StreamFamily, StreamLayout
from mesh.topology.regions import Link, Region, check_links, check_names, check_region, check_residency
from mesh.topology.server_settings import ServerSettings, check_quotas, quotas_of
from mesh.topology.stream_settings import check_keep, check_streams, own_family


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A checked mesh. Make one with `load`, `parse` or `of`."""

    regions: tuple[Region, ...]
    links: tuple[Link, ...]
    replicas: int = 3
    commerce: timedelta = timedelta(days=400)
    interactions: timedelta = timedelta(days=30)
    tls: bool = False
    streams: tuple[StreamFamily, ...] = ()
    """Streams for domains that do not share the commerce stream."""
    servers: ServerSettings = field(default_factory=ServerSettings)
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Family of streams -> the most bytes that its stream may take on a server."""

    def __post_init__(self) -> None:
        """Refuse what cannot work; the TopologyError names what to write instead."""
        check_names([region.name for region in self.regions])
        for region in self.regions:
            check_region(region)
        check_residency(self.regions)
        check_links(self.links, self.names)
        _check_retention(self.commerce, self.interactions)
        check_streams(self.streams)
        self.servers.checked()
        check_quotas(self.quotas, self.layout.families)
        if self.replicas not in (1, 3, 5):
            raise TopologyError(f"replicas = {self.replicas}: JetStream keeps 1, 3 or 5 copies")

    @staticmethod
    def load(path: Path | str) -> "Topology":
        """The topology in a file; a TopologyError names what is wrong in it and what to write instead."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise TopologyError(f"cannot read {path}: {error.strerror}") from error
        return Topology.parse(text, where=str(path))

    @staticmethod
    def parse(text: str, *, where: str = "mesh.toml") -> "Topology":
        """The topology in a text; TopologyError as `load`."""
        try:
            written = msgspec.convert(tomllib.loads(text), _File)
        except tomllib.TOMLDecodeError as error:
            raise TopologyError(
                f"{where}: {error} (a region or key that is written twice counts as an error)"
            ) from error
        except msgspec.ValidationError as error:
            raise TopologyError(f"{where}: {error}. {_expected(str(error))}") from error
        try:
            return written.topology()
        except TopologyError as error:
            raise TopologyError(f"{where}: {error}") from error

    @staticmethod
    def of(regions: Iterable[str] = ("us", "eu", "ap"), *, nodes: int = 3) -> "Topology":
        """A full mesh of these regions; each dials those before it."""
        names = tuple(regions)
        return Topology(
            regions=tuple(Region(name=name, nodes=nodes) for name in names),
            links=tuple(Link(dialer=later, listener=earlier) for earlier, later in combinations(names, 2)),
        )

    def only(self, *names: str, nodes: int | None = None) -> "Topology":
        """The part made of these regions (all of them when none is named), with `nodes` servers each if given."""
        wanted = names or self.names
        for name in wanted:
            self.region(name)
        kept = (region for region in self.regions if region.name in wanted)
        return replace(
            self,
            regions=tuple(replace(region, nodes=nodes or region.nodes) for region in kept),
            links=tuple(link for link in self.links if link.dialer in wanted and link.listener in wanted),
        )

    @property
    def layout(self) -> StreamLayout:
        """Which stream each domain is in, and how long each is kept."""
        return StreamLayout(
            commerce=replace(COMMERCE, keep=self.commerce),
            interactions=replace(INTERACTIONS, keep=self.interactions),
            personal=replace(PERSONAL, keep=self.commerce),
            operations=replace(OPERATIONS, keep=self.commerce),
            own=self.streams,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The regions' names, in the order they were written."""
        return tuple(region.name for region in self.regions)

    def region(self, name: str) -> Region:
        """A region by name; TopologyError lists those there are."""
        for region in self.regions:
            if region.name == name:
                return region
        raise TopologyError(f"there is no region {name!r}; there are {', '.join(self.names)}")

    def others(self, name: str) -> tuple[str, ...]:
        """The names of all regions but this one."""
        return tuple(other for other in self.names if other != name)

    def replicas_in(self, name: str) -> int:
        """How many copies a stream has in a region: never more than it has servers."""
        return min(self.replicas, self.region(name).nodes)

    def home(self, country: str) -> str | None:
        """The region whose residency names a country, or None."""
        return next((region.name for region in self.regions if country in region.residency), None)


class _Region(msgspec.Struct, forbid_unknown_fields=True):
    nodes: int = 3
    time_zone: str = "UTC"
    residency: tuple[str, ...] = ()
    leafnode_address: str = ""


class _Link(msgspec.Struct, forbid_unknown_fields=True, rename={"dialer": "from", "listener": "to"}):
    dialer: str
    listener: str


class _Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    commerce: str = "400d"
    interactions: str = "30d"


class _Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    domains: tuple[str, ...]
    keep: str = "400d"
    copied: bool = True


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """What may be written in `mesh.toml`."""

    regions: dict[str, _Region]
    links: list[_Link] = []
    replicas: int = 3
    retention: _Retention = _Retention()
    tls: bool = False
    streams: dict[str, _Stream] = {}
    servers: ServerSettings = ServerSettings()
    quotas: dict[str, str] = {}

    def topology(self) -> Topology:
        return Topology(
            regions=tuple(
                Region(
                    name=name,
                    nodes=one.nodes,
                    time_zone=one.time_zone,
                    residency=one.residency,
                    leafnode_address=one.leafnode_address,
                )
                for name, one in self.regions.items()
            ),
            links=tuple(Link(dialer=link.dialer, listener=link.listener) for link in self.links),
            replicas=self.replicas,
            commerce=_duration("retention.commerce", self.retention.commerce),
            interactions=_duration("retention.interactions", self.retention.interactions),
            tls=self.tls,
            streams=tuple(
                own_family(
                    name,
                    stream.domains,
                    keep=_duration(f"streams.{name}.keep", stream.keep),
                    copied=stream.copied,
                )
                for name, stream in self.streams.items()
            ),
            servers=self.servers,
            quotas=quotas_of(self.quotas),
        )


def known_fields() -> dict[str, list[str]]:
    """What may stand in a `mesh.toml` (`mesh`), in one of its regions and in a link, as it is written."""
    kinds: dict[str, type[msgspec.Struct]] = {"mesh": _File, "region": _Region, "link": _Link}
    return {name: list(kind.__struct_encode_fields__) for name, kind in kinds.items()}


def _expected(message: str) -> str:
    fields: Mapping[str, Any] = {
        "$.regions": _Region,
        "$.links": _Link,
        "$.retention": _Retention,
        "$.streams": _Stream,
        "$.servers": ServerSettings,
    }
    kind = next((kind for path, kind in fields.items() if f"`{path}" in message), _File)
    return f"Known here: {', '.join(kind.__struct_encode_fields__)}"


def _duration(name: str, text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise TopologyError(f"{name}: {error}") from None


def _check_retention(commerce: timedelta, interactions: timedelta) -> None:
    for name, kept in (("commerce", commerce), ("interactions", interactions)):
        check_keep(f"retention.{name}", kept)
    if interactions > commerce:
        raise TopologyError(
            "retention.interactions is longer than retention.commerce: what was decided outlives what was looked at"
        )
