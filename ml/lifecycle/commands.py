"""Commands that look at models (`cartmesh models list`, `show`, `compare`, `audit`, `report`) or change them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from ml.lifecycle.changes import canary, promote, rollback, shadow, withdraw
from ml.lifecycle.regions import MODEL, each, registry

if TYPE_CHECKING:
    from mesh import Mesh


def commands(app: App) -> None:
    """Add them to the root command."""
    group = App(name="models", help="Versions of the models: which serves, which is tried, and how they do.")
    for command in (show, shadow, canary, withdraw, promote, rollback, compare, audit, report):
        group.command(command)
    group.command(list_, name="list")
    app.command(group)


def list_(
    *, model: str | None = None, region: str | None = None, servers: Path | None = None, json: bool = False
) -> None:
    """List the registered versions: what each was measured at, which serves, which is tried.

    Parameters
    ----------
    model
        Only this one.
    region
        Only this one.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON instead of a table.
    """
    from ml.lifecycle.tables import ModelVersions, show_versions  # noqa: PLC0415  saves start-up time

    async def look(mesh: "Mesh") -> list[ModelVersions]:
        models = registry(mesh)
        return [
            ModelVersions(
                region=mesh.region,
                model=name,
                current=(await models.entry(name))[0],
                versions=tuple(await models.versions(name)),
            )
            for name in ([model] if model else await models.names())
        ]

    found = each(servers, region, look)
    _tell([model for part in found for model in part], show_versions, json=json)


def show(
    version: str | None = None,
    *,
    model: str = MODEL,
    region: str | None = None,
    servers: Path | None = None,
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
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON instead of lines.
    """
    from ml.lifecycle.registry import NotNow  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.retraining import DRIFT  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.tables import VersionDetails, show_version  # noqa: PLC0415  saves start-up time

    async def look(mesh: "Mesh") -> VersionDetails:
        models = registry(mesh)
        current, _ = await models.entry(model)
        wanted = version or current.version
        if wanted is None:
            raise NotNow(f"no version of {model} serves in {mesh.region}; name one of `cartmesh models list`")
        return VersionDetails(
            region=mesh.region,
            current=current,
            version=await models.version(model, wanted),
            drift=await mesh.state(DRIFT).get(model),
        )

    _tell(each(servers, region, look), show_version, json=json)


def compare(*, model: str = MODEL, region: str | None = None, servers: Path | None = None, json: bool = False) -> None:
    """Compare the running model and its candidate on the same live carts, by what became of them.

    Parameters
    ----------
    model
        Which model.
    region
        Only this one.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON instead of a table.
    """
    from ml.lifecycle.registry import NotNow  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.review import compared  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.tables import show_comparison  # noqa: PLC0415  saves start-up time

    async def look(mesh: "Mesh") -> Any:
        found = await compared(mesh, model)
        if found is None:
            raise NotNow(f"no version of {model} is tried in {mesh.region}: `cartmesh models shadow VERSION` first")
        return found

    _tell(each(servers, region, look), show_comparison, json=json)


def audit(*, sample: int = 200, region: str | None = None, servers: Path | None = None, json: bool = False) -> None:
    """Compute the features of a sample of scores again from the log, and prove that the same were served.

    Ends with 1 where a difference has no cause that the log shows.

    Parameters
    ----------
    sample
        How many of the newest scores of carts, and as many of visits.
    region
        Only this one.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON instead of lines.
    """
    from ml.lifecycle.audit import audit as prove  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.tables import show_audit  # noqa: PLC0415  saves start-up time

    found = each(servers, region, lambda mesh: prove(mesh, sample=sample))
    _tell(found, show_audit, json=json)
    if any(one.unexplained for one in found):
        sys.exit(1)


def report(*, region: str | None = None, servers: Path | None = None, json: bool = False) -> None:
    """Show what shoppers were shown, what they clicked and ordered afterwards, and what offers changed.

    Parameters
    ----------
    region
        Only this one.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON instead of tables.
    """
    from ml.lifecycle.click_report import click_report  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.tables import show_clicks  # noqa: PLC0415  saves start-up time

    _tell(each(servers, region, click_report), show_clicks, json=json)


def _tell(found: Any, show: Callable[[Any], None], *, json: bool) -> None:
    import msgspec  # noqa: PLC0415  saves start-up time

    if json:
        print(msgspec.json.encode(found).decode())
    else:
        show(found)
