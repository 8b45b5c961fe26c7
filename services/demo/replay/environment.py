"""Environment: a mesh to run_replay on, started for the occasion or running already."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mesh import Mesh
from mesh.runtime.up import Up
from mesh.streams import StreamFamily
from mesh.topology.access import OPERATOR, Access
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology

KEY = "rehearsal"
"""The server key of an embedded mesh: a shop's log is what its own server knows."""

RECORD = "mails.jsonl"
"""The inbox's list of what it accepted, in its folder."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Gateways and operator's connections by region; `record` is the inbox's list of accepted mails.

    `up` is the embedded mesh where it was built for the run, for cutting links and the like.
    """

    gateways: dict[str, str]
    meshes: dict[str, Mesh]
    nodes: int
    record: Path
    key: str = KEY
    up: Up | None = None

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that are played in."""
        return tuple(self.gateways)


@asynccontextmanager
async def built(
    regions: tuple[str, ...],
    *,
    nodes: int,
    environment: Mapping[str, str],
    directory: Path | None = None,
    only: Sequence[str] = (),
    streams: tuple[StreamFamily, ...] = (),
) -> AsyncIterator[Environment]:
    """An embedded mesh with the inbox and every service, or `only` some; drained and gone when the block ends.

    `streams` are those that domains have of their own.
    """
    # All shoppers of a replay share one key, and its pace is the log's.
    rates = {"CARTMESH_KEY_RATE": "1000000", "CARTMESH_KEY_BYTES": "1e9"}
    settings = {"CARTMESH_SERVER_KEYS": KEY, **rates, **environment}
    topology = replace(Topology.of(regions, nodes=nodes), streams=streams)
    async with Up(topology, directory=directory, environment=settings, only=only) as up:
        yield Environment(
            gateways={region: up.gateway(region) for region in regions},
            meshes={region: await up.operator(region) for region in regions},
            nodes=nodes,
            record=up.directory / "inbox" / RECORD,
            up=up,
        )


@asynccontextmanager
async def borrowed(
    servers: Path, gateways: dict[str, str], *, record: Path, key: str = KEY
) -> AsyncIterator[Environment]:
    """A mesh that is up already; its settings are what they are. TopologyError for regions without servers."""
    access = Access.read(servers)
    meshes: dict[str, Mesh] = {}
    try:
        for region in gateways:
            others = tuple(other for other in access.regions if other != region)
            meshes[region] = await connect(access, region, OPERATOR, others=others)
        nodes = max(len(access.regions[region].urls) for region in gateways)
        yield Environment(gateways=gateways, meshes=meshes, nodes=nodes, record=record, key=key)
    finally:
        for mesh in meshes.values():
            await mesh.broker.drain()
