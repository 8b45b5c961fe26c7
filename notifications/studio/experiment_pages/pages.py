"""Pages: the experiments of all journeys, and one of them day by day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh import Mesh
from mesh.web.console import Console
from notifications.documents.publishing import versions
from notifications.experiments.participant import OF_STEP
from notifications.journeys.kind import JOURNEYS
from notifications.studio.experiment_pages import words
from notifications.studio.experiment_pages.chart import chart
from notifications.studio.experiment_pages.figures import FIGURES, EffectsWriter, read_days
from notifications.studio.experiment_pages.result import Read, result, results
from notifications.studio.experiment_pages.variants import variants_of
from notifications.studio.studio import Studio

LONGEST = int(FIGURES.ttl.total_seconds() // 86_400) if FIGURES.ttl else 400


def routes(console: Console, mesh: Mesh, writer: EffectsWriter) -> list[Any]:
    """All below `/experiments`."""
    studio = Studio(console, mesh, "/experiments")
    return [_list(studio, mesh, writer), _one(studio, mesh, writer), studio.files]


def _list(studio: Studio, mesh: Mesh, writer: EffectsWriter) -> HTTPRouteHandler:
    @get("/")
    async def show_experiments(request: Request[Any, Any, Any]) -> Response[bytes]:
        """What the offers of every journey change, in the whole mesh."""
        found = results(await _read(mesh), _today(), writer.window)
        measured = {one.journey for one in found}
        in_force = {name: kept async for name, kept in mesh.state(JOURNEYS.bucket).items()}
        shown = {
            "found": found,
            "without": sorted(set(in_force) - measured),
            "window": writer.window.total_seconds() / 86_400,
            "words": words,
        }
        return studio.show(request, "experiments.html.j2", shown)

    return show_experiments


def _one(studio: Studio, mesh: Mesh, writer: EffectsWriter) -> HTTPRouteHandler:
    @get("/{name:str}")
    async def show_experiment(
        request: Request[Any, Any, Any], name: FromPath[str], since: FromQuery[str] = ""
    ) -> Response[bytes]:
        """One journey's experiment, of everybody who took part since a day."""
        whole = await _read(mesh)
        first = _day(since)
        days = {day for (_, day), groups in whole.items() if any(one.partition(OF_STEP)[0] == name for one in groups)}
        published = [(one.document.revision, one.document.time.date()) for one in await versions(JOURNEYS, name, mesh)]
        chosen: Read = {key: journeys for key, journeys in whole.items() if first is None or key[1] >= first}
        found = [one for one in results(chosen, _today(), writer.window) if one.journey == name]
        one = found[0] if found else result(name, {}, _today(), writer.window)
        shown = {
            "one": one,
            "steps": variants_of(name, chosen, _today(), writer.window),
            "chart": chart(one.points),
            "published": published,
            "first": min(days, default=None),
            "chosen": first,
            "window": writer.window.total_seconds() / 86_400,
            "words": words,
        }
        return studio.show(request, "experiment.html.j2", shown, status=200 if days or published else 404)

    return show_experiment


async def _read(mesh: Mesh) -> Read:
    """The sums of the whole mesh."""
    today = _today()
    days = [today - timedelta(days=back) for back in range(LONGEST)]
    return await read_days(mesh, (mesh.region, *sorted(mesh.others)), days)


def _today() -> date:
    return datetime.now(UTC).date()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
