"""Admission: what becomes of a version that was learnt: it serves, is tried, or is only registered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from mesh import Mesh
from ml.lifecycle.registry import NoSuchVersion, Registry, Superseded
from ml.training.result import ServingVersion, TrainingResult

How = Literal["usual", "shadow", "promote"]
TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """What became of it in a region (`nothing`: no version was made), with a description."""

    region: str
    place: Literal["serves", "shadow", "registered", "nothing"]
    description: str
    learnt: TrainingResult


async def admit(
    mesh: Mesh, judge: Callable[[ServingVersion | None], Awaitable[TrainingResult]], name: str, how: How
) -> Admitted:
    """Put a version where it belongs in a region.

    What passes the gate serves at once where nothing does, else it is tried in shadow; `promote` lets it
    serve, `shadow` never does. What does not pass is only registered. A candidate that is a canary keeps
    its place. When somebody changes the model meanwhile it is judged again; Superseded when that never ends.
    """
    for _ in range(TRIES):
        running = await serving(mesh, name)
        learnt = await judge(running)
        try:
            return await place(mesh, learnt, name, how)
        except Superseded:
            continue
    raise Superseded(f"{name} was changed {TRIES} times while a version was judged: try again later")


async def serving(mesh: Mesh, name: str) -> ServingVersion | None:
    """The version that serves in a region, or None."""
    models = Registry(mesh)
    version = await models.serving(name)
    if version is None:
        return None
    try:
        return ServingVersion(version=version, artifact=await models.artifact(name, version.version))
    except NoSuchVersion:
        return ServingVersion(version=version, artifact=None)


async def place(
    mesh: Mesh, learnt: TrainingResult, name: str, how: How, *, patience: timedelta = timedelta(0)
) -> Admitted:
    """Like `admit`, for a verdict that stands; a shadow younger than `patience` keeps its place.

    Superseded when the verdict was reached against what serves no longer.
    """
    region, models = mesh.region, Registry(mesh)
    if learnt.version is None or learnt.artifact is None:
        return Admitted(region=region, place="nothing", description=learnt.reason, learnt=learnt)
    version = learnt.version.version
    before, seen = await models.entry(name)
    if version in (before.version, before.candidate.version if before.candidate else None):
        where = "serves" if version == before.version else "shadow"
        return Admitted(region=region, place=where, description=f"{version} was here before", learnt=learnt)
    if before.version != learnt.against:
        raise Superseded(f"{name}: judged against {learnt.against}, but {before.version} serves now")
    await models.add(learnt.version, learnt.artifact)
    before, seen = await models.entry(name)
    if before.version != learnt.against:
        raise Superseded(f"{name}: judged against {learnt.against}, but {before.version} serves now")
    description = f"{version} is registered in {region}: it did not pass"
    if not learnt.accepted:
        return Admitted(region=region, place="registered", description=description, learnt=learnt)
    if how == "promote" or (how == "usual" and before.version is None):
        await models.promote(name, version, learnt.reason, at=learnt.version.trained_at, seen=seen)
        return Admitted(region=region, place="serves", description=f"{version} serves in {region}", learnt=learnt)
    tried = before.candidate
    if tried is not None and (tried.stage == "canary" or datetime.now(UTC) - tried.since < patience):
        description = f"{version} is registered in {region}: {tried.version} is being tried ({tried.stage})"
        return Admitted(region=region, place="registered", description=description, learnt=learnt)
    await models.stage(name, version, "shadow", learnt.reason, at=learnt.version.trained_at, seen=seen)
    return Admitted(
        region=region, place="shadow", description=f"{version} is tried in shadow in {region}", learnt=learnt
    )
