"""Pages: the experiments of all journeys, and one of them day by day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh import Mesh
from mesh.web.console import Console
from notifications.documents.publishing import versions
from notifications.experiments.participant import OF_STEP
from notifications.journeys import Journey
from notifications.journeys.kind import JOURNEYS
from notifications.studio.decision_pages import words as decision_words
from notifications.studio.decision_pages.figures import read_behind
from notifications.studio.decision_pages.step_results import StepResult, step_results
from notifications.studio.experiment_pages import words
from notifications.studio.experiment_pages.chart import chart
from notifications.studio.experiment_pages.choosing import choice_of, journey_in_force, what_was_tested
from notifications.studio.experiment_pages.figures import EffectsWriter
from notifications.studio.experiment_pages.guardrails import mails_of
from notifications.studio.experiment_pages.margins import Margin
from notifications.studio.experiment_pages.measuring import read_figures, read_offers
from notifications.studio.experiment_pages.result import Read, result, results
from notifications.studio.experiment_pages.running_tests import running_tests
from notifications.studio.experiment_pages.split import Split, split_of
from notifications.studio.experiment_pages.variants import variants_of
from notifications.studio.studio import Studio


def routes(console: Console, mesh: Mesh, writer: EffectsWriter) -> list[Any]:
    """All below `/experiments`."""
    studio = Studio(console, mesh, "/experiments")
    return [_list(studio, mesh, writer), _one(studio, mesh, writer), studio.files]


def _list(studio: Studio, mesh: Mesh, writer: EffectsWriter) -> HTTPRouteHandler:
    @get("/")
    async def show_experiments(request: Request[Any, Any, Any]) -> Response[bytes]:
        """What the offers of every journey change, in the whole mesh."""
        in_force = await _journeys(mesh)
        margins = {name: _margin(journey) for name, journey in in_force.items() if journey}
        read = await read_figures(mesh, _today())
        found = results(read, _today(), writer.window, margins=margins)
        measured = {one.journey for one in found}
        shown = {
            "tests": await running_tests(in_force, read, mesh),
            "today": _today(),
            "found": found,
            "without": sorted(set(in_force) - measured),
            "behind": await read_behind(mesh),
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
        whole, first = await read_figures(mesh, _today()), _day(since)
        in_force, offers = await _journeys(mesh), await read_offers(mesh, _today(), name, since=first)
        journey = in_force.get(name)
        margin = _margin(journey) if journey else None
        margins = {name: margin} if margin else {}
        days = {day for (_, day), groups in whole.items() if any(one.partition(OF_STEP)[0] == name for one in groups)}
        published = [(one.document.revision, one.document.time.date()) for one in await versions(JOURNEYS, name, mesh)]
        chosen: Read = {key: journeys for key, journeys in whole.items() if first is None or key[1] >= first}
        found = [one for one in results(chosen, _today(), writer.window, margins=margins) if one.journey == name]
        one = found[0] if found else result(name, {}, _today(), writer.window)
        shown = {
            "tests": await running_tests(in_force, whole, mesh, only=name),
            "today": _today(),
            "one": msgspec.structs.replace(one, mails=mails_of(offers)),
            "steps": variants_of(name, chosen, _today(), writer.window, margin=margin, offers=offers),
            "opens": [StepResult(step="All mails", variant="", figures=offers), *step_results(offers, journey)],
            "about_opens": decision_words.OPENS,
            "splits": await _splits(journey, mesh, whole) if journey else {},
            "rules": await _rules(journey, mesh, whole, writer.window) if journey else {},
            "chart": chart(one.points),
            "published": published,
            "behind": await read_behind(mesh),
            "first": min(days, default=None),
            "chosen": first,
            "window": writer.window.total_seconds() / 86_400,
            "words": words,
        }
        return studio.show(request, "experiment.html.j2", shown, status=200 if days or published else 404)

    return show_experiment


async def _journeys(mesh: Mesh) -> dict[str, Journey | None]:
    """Every journey in force, where it can be read."""
    return {name: journey_in_force(kept) async for name, kept in mesh.state(JOURNEYS.bucket).items()}


def _margin(journey: Journey) -> Margin:
    return Margin(share=journey.margin_percent / 100)


async def _rules(journey: Journey, mesh: Mesh, read: Read, window: timedelta) -> dict[str, str]:
    """What the rule of each step that has one says now, as a sentence."""
    said = {}
    for step in journey.steps:
        if step.choose_winner and step.winner:
            said[step.name] = f"{step.winner} is the winner: whoever waits gets it."
        elif step.choose_winner:
            said[step.name] = (await choice_of(journey, step, mesh, read, window, _today())).words
    return said


async def _splits(journey: Journey, mesh: Mesh, read: Read) -> dict[str, Split]:
    """The steps whose variants are not given as their shares say."""
    found = {}
    for step in journey.steps:
        split = split_of(journey, step, read, (await what_was_tested(journey.name, step, mesh)).since)
        if split is not None and split.suspect:
            found[step.name] = split
    return found


def _today() -> date:
    return datetime.now(UTC).date()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
