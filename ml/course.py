"""A course of training from end to end: read the log, learn, judge, register where it is better."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from mesh import Mesh
from mesh.access import Access
from mesh.errors import TopologyError
from mesh.worker import connect
from ml import dataset
from ml.artifact import ArtifactRefused, pack, unpack
from ml.evaluation import in_words
from ml.features import names
from ml.registry import NoSuchVersion, Registry
from ml.serving import KIND, Model
from ml.training import Outcome, train
from ml.version import Metrics, Version

NAME = "propensity"
OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True)
class Course:
    """What to learn from (`file`, else the mesh), and where to register: `region`, else all of `servers`."""

    file: Path | None = None
    region: str | None = None
    servers: Path | None = None
    horizon: timedelta | None = None
    idle: timedelta = dataset.IDLE
    register: bool = True


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a course, in words and figures. `registered` names the regions where the model serves now."""

    better: bool
    reason: str
    steps: int
    rows: int
    bought: int
    registered: tuple[str, ...]
    version: Version | None = None
    metrics: Metrics | None = None
    carts: Metrics | None = None
    running: Metrics | None = None
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """For a terminal."""
        told = [f"{self.steps:,} steps, {self.rows:,} moments of which {self.bought:,} ended in a purchase"]
        if self.carts:
            told.append(f"with something in the cart: {in_words(self.carts)}")
        told.append(("better: " if self.better else "not registered: ") + self.reason)
        if self.registered and self.version:
            told.append(f"{self.version.version} serves in {', '.join(self.registered)}")
        elif self.better:
            told.append("registered nowhere: no mesh was named, or this was a dry run")
        return told

    def encoded(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


async def run(course: Course) -> Told:
    """Run a course. Raises UnreadableLog, and TopologyError where the mesh cannot be found."""
    began = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        meshes = await _connected(course, stack)
        steps = await _steps(course, meshes)
        outcome = train(steps, running=await running_model(meshes[0]) if meshes else None, horizon=course.horizon)
        registered: list[str] = []
        if outcome.better and course.register:
            for mesh in meshes:
                await register(mesh, outcome)
                registered.append(mesh.region)
    return Told(
        better=outcome.better,
        reason=outcome.reason,
        steps=len(steps),
        rows=outcome.rows,
        bought=outcome.bought,
        registered=tuple(registered),
        version=outcome.version,
        metrics=outcome.metrics,
        carts=outcome.carts,
        running=outcome.running,
        seconds=(datetime.now(UTC) - began).total_seconds(),
    )


async def register(mesh: Mesh, outcome: Outcome) -> None:
    """Put an outcome's model on a region's shelf and let it serve. ValueError when nothing was learnt."""
    if outcome.model is None or outcome.version is None:
        raise ValueError(f"there is no model to register: {outcome.reason}")
    models = Registry(mesh)
    await models.add(outcome.version, pack(outcome.model.plain()))
    await models.promote(NAME, outcome.version.version, outcome.reason, at=outcome.version.trained_at)


async def running_model(mesh: Mesh) -> Model | None:
    """The model that serves in a region; None where there is none, or none that can be read here."""
    models = Registry(mesh)
    current = await models.current(NAME)
    if current is None:
        return None
    try:
        return Model.of(unpack(await models.artifact(NAME, current.version), kind=KIND, features=names()))
    except (ArtifactRefused, NoSuchVersion):
        return None  # nothing to beat: the scoring services refuse it as well


async def _connected(course: Course, stack: AsyncExitStack) -> list[Mesh]:
    if course.servers is None:
        return []
    access = Access.read(course.servers)
    if course.region is not None and course.region not in access.regions:
        raise TopologyError(f"there is no region {course.region!r}; there are {', '.join(access.regions)}")
    meshes = []
    for region in [course.region] if course.region else list(access.regions):
        mesh = await connect(access, region, OPERATOR)
        stack.push_async_callback(mesh.broker.drain)
        meshes.append(Mesh(mesh.broker, "models"))
    return meshes


async def _steps(course: Course, meshes: list[Mesh]) -> pl.DataFrame:
    if course.file is not None:
        return dataset.from_file(course.file, idle=course.idle)
    frames = [await dataset.from_mesh(mesh) for mesh in meshes]
    return pl.concat(frames).sort("visitor", "at", maintain_order=True)
