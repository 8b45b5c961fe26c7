"""A training run from end to end: read the log, train, judge, and register the version in each region."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.shop_logs.style import Style
from mesh.topology.access import Access
from mesh.topology.connect import connect
from mesh.topology.secrets import OPERATOR
from ml.lifecycle.admission import Admitted, How, admit, serving
from ml.lifecycle.registry import WRITER
from ml.lifecycle.version import Metrics, Version
from ml.training.metrics import in_words
from ml.training.recipes import recipe
from ml.training.result import BOUGHT, FittedModel, ServingVersion, TrainingRequest, TrainingResult

IDLE = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Which model to learn from what (`file`, else the mesh); where to register: `region`, else all of `servers`."""

    name: str = "propensity"
    file: Path | None = None
    region: str | None = None
    servers: Path | None = None
    horizon: timedelta | None = None
    idle: timedelta = IDLE
    register: bool = True
    how: How = "usual"
    by: str = "cartmesh train"
    style: Style | None = None
    """How the file writes dates and prices, where it does not decide that itself."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a training run, as text and figures.

    `registered` names the regions where the model serves now, `shadowed` those where it is tried,
    `places` says per region what became of it.
    """

    accepted: bool
    reason: str
    rows: int
    bought: int
    outcome: str = BOUGHT
    registered: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()
    places: dict[str, str] = {}
    version: Version | None = None
    metrics: Metrics | None = None
    carts: Metrics | None = None
    running: Metrics | None = None
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [f"{self.rows:,} rows" + (f", of which {self.bought:,} {self.outcome}" if self.bought else "")]
        if self.carts:
            lines.append(f"with something in the cart: {in_words(self.carts)}")
        lines.append(("passed: " if self.accepted else "not accepted: ") + self.reason)
        lines += self.places.values()
        if not self.places and self.accepted:
            lines.append("registered nowhere: no mesh was named, or this was a dry run")
        return lines

    def encoded(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


async def run(wanted: TrainingRun) -> RunResult:
    """Train, judge and register. Raises UnreadableLog, TopologyError where the mesh cannot be found, and Superseded."""
    began = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        meshes = await _connected(wanted, stack)
        fitted = await _fitted(wanted, meshes, TrainingRequest(by=wanted.by, at=began, horizon=wanted.horizon))
        if wanted.register and meshes:
            admitted = [await admit(mesh, _judge(fitted), wanted.name, wanted.how) for mesh in meshes]
            learnt = admitted[0].learnt
        else:
            admitted, learnt = [], fitted.judge(await serving(meshes[0], wanted.name) if meshes else None)
    return _run_result(learnt, admitted, (datetime.now(UTC) - began).total_seconds())


async def register(mesh: Mesh, fitted: FittedModel, *, name: str = "propensity", how: How = "usual") -> Admitted:
    """Judge a fitted model against what serves in a region and put it where it belongs."""
    return await admit(mesh, _judge(fitted), name, how)


def _judge(fitted: FittedModel) -> Callable[[ServingVersion | None], Awaitable[TrainingResult]]:
    async def judge(running: ServingVersion | None) -> TrainingResult:
        return fitted.judge(running)

    return judge


def _run_result(learnt: TrainingResult, admitted: list[Admitted], seconds: float) -> RunResult:
    version = learnt.version
    return RunResult(
        accepted=learnt.accepted,
        reason=learnt.reason,
        rows=learnt.rows,
        bought=learnt.bought,
        outcome=learnt.outcome,
        registered=tuple(one.region for one in admitted if one.place == "serves"),
        shadowed=tuple(one.region for one in admitted if one.place == "shadow"),
        places={one.region: one.description for one in admitted if one.place != "nothing"},
        version=version,
        metrics=version.metrics if version else None,
        carts=version.carts if version else None,
        running=learnt.running,
        seconds=seconds,
    )


async def _connected(wanted: TrainingRun, stack: AsyncExitStack) -> list[Mesh]:
    if wanted.file and wanted.servers is None:
        return []
    access = Access.find(wanted.servers)
    if wanted.region is not None:
        access.login(wanted.region)
    meshes = []
    for region in [wanted.region] if wanted.region else list(access.regions):
        mesh = await connect(access, region, OPERATOR)
        stack.push_async_callback(mesh.broker.drain)
        meshes.append(Mesh(mesh.broker, WRITER, layout=mesh.layout))
    return meshes


async def _fitted(wanted: TrainingRun, meshes: list[Mesh], order: TrainingRequest) -> FittedModel:
    chosen = recipe(wanted.name)
    if wanted.file is None:
        return chosen.fit(await chosen.read(meshes), order)
    if wanted.name != "propensity":
        raise DeclarationError(f"{wanted.name} is learnt from the mesh only: leave --from out")
    from ml.training.dataset import from_file  # noqa: PLC0415  polars

    return chosen.fit(from_file(wanted.file, idle=wanted.idle, style=wanted.style), order)
