"""Commands that look after models: `cartmesh models` list, show, compare, audit, shadow, canary, promote, rollback."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cyclopts import App

from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh import Mesh
    from ml.registry import Registry

SERVERS = Path("servers.json")
MODEL = "propensity"
T = TypeVar("T")


def commands(app: App) -> None:
    """Add them to the root command."""
    group = App(name="models", help="Versions of the models: which serves, which is tried, and how they do.")
    for command in (show, shadow, canary, withdraw, promote, rollback, compare, audit):
        group.command(command)
    group.command(list_, name="list")
    app.command(group)


def list_(*, model: str | None = None, region: str | None = None, servers: Path = SERVERS, json: bool = False) -> None:
    """List the versions on the shelf: what each was measured at, which serves, which is tried.

    Parameters
    ----------
    model
        Only this one.
    region
        Only this one.
    servers
        The servers.json of the mesh.
    json
        Print JSON instead of a table.
    """
    from ml.models_tables import Shelved, show_shelf  # noqa: PLC0415

    async def look(mesh: "Mesh") -> list[Shelved]:
        models = _registry(mesh)
        return [
            Shelved(
                region=mesh.region,
                model=name,
                current=(await models.entry(name))[0],
                versions=tuple(await models.versions(name)),
            )
            for name in ([model] if model else await models.names())
        ]

    found = _each(servers, region, look)
    _tell([shelved for part in found for shelved in part], show_shelf, json=json)


def show(
    version: str | None = None,
    *,
    model: str = MODEL,
    region: str | None = None,
    servers: Path = SERVERS,
    json: bool = False,
) -> None:
    """Show how a model stands, or one of its versions: data, metrics, features, the gate's verdict, drift.

    Parameters
    ----------
    version
        Which; the one that serves when not given.
    model
        Of which model.
    region
        Only this one.
    servers
        The servers.json of the mesh.
    json
        Print JSON instead of lines.
    """
    from ml.models_tables import Portrayed, show_version  # noqa: PLC0415
    from ml.registry import NotNow  # noqa: PLC0415
    from ml.retraining import DRIFT  # noqa: PLC0415

    async def look(mesh: "Mesh") -> Portrayed:
        models = _registry(mesh)
        current, _ = await models.entry(model)
        wanted = version or current.version
        if wanted is None:
            raise NotNow(f"no version of {model} serves in {mesh.region}; name one of `cartmesh models list`")
        return Portrayed(
            region=mesh.region,
            current=current,
            version=await models.version(model, wanted),
            drift=await mesh.state(DRIFT).get(model),
        )

    _tell(_each(servers, region, look), show_version, json=json)


def shadow(version: str, *, model: str = MODEL, region: str | None = None, servers: Path = SERVERS) -> None:
    """Try a version in shadow: it scores every abandoned cart beside the one that serves, without effect.

    Parameters
    ----------
    version
        Which; it takes the place of whichever is tried now.
    model
        Of which model.
    region
        Only there; in every region when not given.
    servers
        The servers.json of the mesh.
    """

    async def change(models: "Registry", seen: int) -> str:
        await models.stage(model, version, "shadow", "by an operator", seen=seen)
        return f"{version} is tried in shadow"

    _change(servers, region, model, change, version)


def canary(
    version: str,
    *,
    share: float = 0.1,
    model: str = MODEL,
    force: bool = False,
    region: str | None = None,
    servers: Path = SERVERS,
) -> None:
    """Let a version serve a share of the abandoned carts, always the same ones, once it passed the gate.

    Parameters
    ----------
    version
        Which; it takes the place of whichever is tried now.
    share
        Of the carts, between 0 and 1.
    model
        Of which model.
    force
        Whatever the gate says; the reason is kept.
    region
        Only there; in every region when not given.
    servers
        The servers.json of the mesh.
    """

    async def change(models: "Registry", seen: int) -> str:
        words, _ = await _gated(models, model, version, force=force)
        await models.stage(model, version, "canary", words, share=share, seen=seen)
        return f"{version} serves {share:.0%} of the carts: {words}"

    _change(servers, region, model, change, version)


def withdraw(*, model: str = MODEL, region: str | None = None, servers: Path = SERVERS) -> None:
    """Try nothing any more; the version stays on the shelf.

    Parameters
    ----------
    model
        Of which model.
    region
        Only there; in every region when not given.
    servers
        The servers.json of the mesh.
    """

    async def change(models: "Registry", seen: int) -> str:
        return f"{await models.withdraw(model, 'by an operator', seen=seen)} is tried no longer"

    _change(servers, region, model, change)


def promote(
    version: str,
    *,
    model: str = MODEL,
    force: bool = False,
    reason: str | None = None,
    region: str | None = None,
    servers: Path = SERVERS,
) -> None:
    """Let a version serve: without a restart, once it passed the gate.

    The gate is its live outcomes beside the running model where enough are known, else its verdict when it
    was trained.

    Parameters
    ----------
    version
        Which.
    model
        Of which model.
    force
        Whatever the gate says; the reason is kept.
    reason
        Why, for the record.
    region
        Only there; in every region when not given.
    servers
        The servers.json of the mesh.
    """

    async def change(models: "Registry", seen: int) -> str:
        words, passed = await _gated(models, model, version, force=force)
        words = f"{reason}: {words}" if reason else words
        await models.promote(model, version, words, forced=not passed, seen=seen)
        return f"{version} serves: {words}"

    _change(servers, region, model, change, version)


def rollback(
    *, model: str = MODEL, reason: str = "by an operator", region: str | None = None, servers: Path = SERVERS
) -> None:
    """Let the version serve again that did before.

    Parameters
    ----------
    model
        Of which model.
    reason
        Why, for the record.
    region
        Only there; in every region when not given.
    servers
        The servers.json of the mesh.
    """

    async def change(models: "Registry", seen: int) -> str:
        before, _ = await models.entry(model)
        after = await models.roll_back(model, f"rolled back from {before.version}: {reason}", seen=seen)
        return f"{after.version} serves again"

    _change(servers, region, model, change)


def compare(*, model: str = MODEL, region: str | None = None, servers: Path = SERVERS, json: bool = False) -> None:
    """Compare the running model and its candidate on the same live carts, by what became of them.

    Parameters
    ----------
    model
        Which model.
    region
        Only this one.
    servers
        The servers.json of the mesh.
    json
        Print JSON instead of a table.
    """
    from ml.models_tables import show_comparison  # noqa: PLC0415
    from ml.registry import NotNow  # noqa: PLC0415
    from ml.review import compared  # noqa: PLC0415

    async def look(mesh: "Mesh") -> Any:
        found = await compared(mesh, model)
        if found is None:
            raise NotNow(f"no version of {model} is tried in {mesh.region}: `cartmesh models shadow VERSION` first")
        return found

    _tell(_each(servers, region, look), show_comparison, json=json)


def audit(*, sample: int = 200, region: str | None = None, servers: Path = SERVERS, json: bool = False) -> None:
    """Compute the features of a sample of scores again from the log, and prove that the same were served.

    Ends with 1 where a difference has no cause that the log shows.

    Parameters
    ----------
    sample
        How many of the newest scores of carts, and as many of visits.
    region
        Only this one.
    servers
        The servers.json of the mesh.
    json
        Print JSON instead of lines.
    """
    from ml.audit import audit as prove  # noqa: PLC0415
    from ml.models_tables import show_audit  # noqa: PLC0415

    found = _each(servers, region, lambda mesh: prove(mesh, sample=sample))
    _tell(found, show_audit, json=json)
    if any(one.unexplained for one in found):
        sys.exit(1)


# Connecting, and saying


def _registry(mesh: "Mesh") -> "Registry":
    from ml.registry import Registry  # noqa: PLC0415

    return Registry(mesh)


async def _gated(models: "Registry", model: str, version: str, *, force: bool) -> tuple[str, bool]:
    """What the gate says of a version, in words for the record, and whether it passes. NotNow where it may not."""
    from ml.registry import NotNow  # noqa: PLC0415
    from ml.review import passes  # noqa: PLC0415

    verdict = await passes(models.mesh, model, version)
    if verdict.accepted:
        return verdict.words, True
    if not force:
        raise NotNow(f"{version} did not pass the gate: {verdict.words}. Shadow it, or --force it all the same")
    return f"forced, although the gate said: {verdict.words}", False


@asynccontextmanager
async def _regions(servers: Path, region: str | None) -> AsyncIterator[list["Mesh"]]:
    from mesh import Mesh  # noqa: PLC0415
    from mesh.access import Access  # noqa: PLC0415
    from mesh.secrets import OPERATOR  # noqa: PLC0415
    from mesh.worker import connect  # noqa: PLC0415
    from ml.registry import WRITER  # noqa: PLC0415

    access = Access.read(servers)
    if region is not None and region not in access.regions:
        raise TopologyError(f"there is no region {region!r} in {servers}; there are {', '.join(access.regions)}")
    async with AsyncExitStack() as stack:
        meshes = []
        for name in [region] if region else list(access.regions):
            connected = await connect(access, name, OPERATOR)
            stack.push_async_callback(connected.broker.drain)
            meshes.append(Mesh(connected.broker, WRITER))
        yield meshes


def _each(servers: Path, region: str | None, look: Callable[["Mesh"], Awaitable[T]]) -> list[T]:
    async def work() -> list[T]:
        async with _regions(servers, region) as meshes:
            return [await look(mesh) for mesh in meshes]

    return asyncio.run(work())


def _change(
    servers: Path,
    region: str | None,
    model: str,
    change: Callable[["Registry", int], Awaitable[str]],
    version: str | None = None,
) -> None:
    """Change every region, once all are known to have the version."""

    async def work() -> None:
        async with _regions(servers, region) as meshes:
            stands = [(mesh, _registry(mesh), (await _registry(mesh).entry(model))[1]) for mesh in meshes]
            for _, models, _ in stands:
                if version is not None:
                    await models.version(model, version)
            for mesh, models, seen in stands:
                print(f"{mesh.region}: {await change(models, seen)}")

    asyncio.run(work())


def _tell(found: Any, show: Callable[[Any], None], *, json: bool) -> None:
    import msgspec  # noqa: PLC0415

    if json:
        print(msgspec.json.encode(found).decode())
    else:
        show(found)
