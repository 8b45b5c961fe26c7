"""Commands that change which version of a model serves and which one is tried."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ml.lifecycle.regions import MODEL, regions_of, registry

if TYPE_CHECKING:
    from ml.lifecycle.registry import Registry


def shadow(version: str, *, model: str = MODEL, region: str | None = None, servers: Path | None = None) -> None:
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
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
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
    servers: Path | None = None,
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
        Whatever the gate's verdict; the reason is kept.
    region
        Only there; in every region when not given.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """

    async def change(models: "Registry", seen: int) -> str:
        reason, _ = await _gated(models, model, version, force=force)
        await models.stage(model, version, "canary", reason, share=share, seen=seen)
        return f"{version} serves {share:.0%} of the carts: {reason}"

    _change(servers, region, model, change, version)


def withdraw(*, model: str = MODEL, region: str | None = None, servers: Path | None = None) -> None:
    """Try nothing any more; the version stays registered.

    Parameters
    ----------
    model
        Of which model.
    region
        Only there; in every region when not given.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
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
    servers: Path | None = None,
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
        Whatever the gate's verdict; the reason is kept.
    reason
        Why, for the record.
    region
        Only there; in every region when not given.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """

    async def change(models: "Registry", seen: int) -> str:
        verdict, passed = await _gated(models, model, version, force=force)
        recorded = f"{reason}: {verdict}" if reason else verdict
        await models.promote(model, version, recorded, forced=not passed, seen=seen)
        return f"{version} serves: {recorded}"

    _change(servers, region, model, change, version)


def rollback(
    *, model: str = MODEL, reason: str = "by an operator", region: str | None = None, servers: Path | None = None
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
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """

    async def change(models: "Registry", seen: int) -> str:
        before, _ = await models.entry(model)
        after = await models.roll_back(model, f"rolled back from {before.version}: {reason}", seen=seen)
        return f"{after.version} serves again"

    _change(servers, region, model, change)


async def _gated(models: "Registry", model: str, version: str, *, force: bool) -> tuple[str, bool]:
    """The gate's verdict on a version as text for the record, and whether it passes. NotNow where it may not."""
    from ml.lifecycle.registry import NotNow  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.review import passes  # noqa: PLC0415  saves start-up time

    verdict = await passes(models.mesh, model, version)
    if verdict.accepted:
        return verdict.reason, True
    if not force:
        raise NotNow(f"{version} did not pass the gate: {verdict.reason}. Shadow it, or --force it all the same")
    return f"forced, although the gate said: {verdict.reason}", False


def _change(
    servers: Path | None,
    region: str | None,
    model: str,
    change: Callable[["Registry", int], Awaitable[str]],
    version: str | None = None,
) -> None:
    """Change every region, once all are known to have the version."""

    async def work() -> None:
        async with regions_of(servers, region) as meshes:
            stands = [(mesh, registry(mesh), (await registry(mesh).entry(model))[1]) for mesh in meshes]
            for _, models, _ in stands:
                if version is not None:
                    await models.version(model, version)
            for mesh, models, seen in stands:
                print(f"{mesh.region}: {await change(models, seen)}")

    asyncio.run(work())
