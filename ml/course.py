"""A course of training from end to end: read the log, learn, judge, and give each region what it should try."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mesh import Mesh
from mesh.errors import DeclarationError, TopologyError
from mesh.runtime.worker import connect
from mesh.topology.access import Access
from mesh.topology.secrets import OPERATOR
from ml.evaluation import in_words
from ml.lifecycle.admission import Admitted, How, admit, serving
from ml.lifecycle.lessons import Fitted, Learnt, Order, Running, lesson
from ml.lifecycle.registry import WRITER
from ml.lifecycle.version import Metrics, Version

IDLE = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Course:
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


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a course, in words and figures.

    `registered` names the regions where the model serves now, `shadowed` those where it is tried,
    `places` says per region what became of it.
    """

    accepted: bool
    reason: str
    rows: int
    bought: int
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
        told = [f"{self.rows:,} rows" + (f", of which {self.bought:,} ended in a purchase" if self.bought else "")]
        if self.carts:
            told.append(f"with something in the cart: {in_words(self.carts)}")
        told.append(("passed: " if self.accepted else "not accepted: ") + self.reason)
        told += self.places.values()
        if not self.places and self.accepted:
            told.append("registered nowhere: no mesh was named, or this was a dry run")
        return told

    def encoded(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


async def run(course: Course) -> Told:
    """Run a course. Raises UnreadableLog, TopologyError where the mesh cannot be found, and Superseded."""
    began = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        meshes = await _connected(course, stack)
        fitted = await _fitted(course, meshes, Order(by=course.by, at=began, horizon=course.horizon))
        if course.register and meshes:
            admitted = [await admit(mesh, _judge(fitted), course.name, course.how) for mesh in meshes]
            learnt = admitted[0].learnt
        else:
            admitted, learnt = [], fitted.judge(await serving(meshes[0], course.name) if meshes else None)
    return _told(learnt, admitted, (datetime.now(UTC) - began).total_seconds())


async def register(mesh: Mesh, fitted: Fitted, *, name: str = "propensity", how: How = "usual") -> Admitted:
    """Judge a fitted model against what serves in a region and put it where it belongs."""
    return await admit(mesh, _judge(fitted), name, how)


def _judge(fitted: Fitted) -> Callable[[Running | None], Awaitable[Learnt]]:
    async def judge(running: Running | None) -> Learnt:
        return fitted.judge(running)

    return judge


def _told(learnt: Learnt, admitted: list[Admitted], seconds: float) -> Told:
    version = learnt.version
    return Told(
        accepted=learnt.accepted,
        reason=learnt.reason,
        rows=learnt.rows,
        bought=learnt.bought,
        registered=tuple(one.region for one in admitted if one.place == "serves"),
        shadowed=tuple(one.region for one in admitted if one.place == "shadow"),
        places={one.region: one.words for one in admitted if one.place != "nothing"},
        version=version,
        metrics=version.metrics if version else None,
        carts=version.carts if version else None,
        running=learnt.running,
        seconds=seconds,
    )


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
        meshes.append(Mesh(mesh.broker, WRITER, layout=mesh.layout))
    return meshes


async def _fitted(course: Course, meshes: list[Mesh], order: Order) -> Fitted:
    told = lesson(course.name)
    if course.file is None:
        return told.fit(await told.read(meshes), order)
    if course.name != "propensity":
        raise DeclarationError(f"{course.name} is learnt from the mesh only: leave --from out")
    from ml.dataset import from_file  # noqa: PLC0415  polars

    return told.fit(from_file(course.file, idle=course.idle), order)
