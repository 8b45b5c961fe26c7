"""Rehearsing: what a draft, or what is in force, would have done with the carts of the last days."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh.events.offer import CART_ABANDONED
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.rehearsal.languages import languages_of
from notifications.rehearsal.past import read_past
from notifications.rehearsal.rehearse import Rehearsal
from notifications.rehearsal.report import Report, report
from notifications.render_pool import RenderPool
from notifications.studio.decision_pages import words
from notifications.studio.journey_pages.example_mail import example_mail
from notifications.studio.journey_pages.opened import PageRequest, open_journey
from notifications.studio.journey_pages.overridden import as_decided
from notifications.studio.journey_pages.sentence import sentence
from notifications.studio.journey_pages.trigger_input import short
from notifications.studio.studio import Studio
from notifications.studio.template_pages.labels import language_name
from notifications.studio.template_pages.preview import framed_html

DAYS = (7, 30, 90)
AT_A_TIME = 50
"""So many carts are decided before others who wait for this process have their turn: some milliseconds."""


def rehearsing_routes(studio: Studio, pool: RenderPool) -> list[HTTPRouteHandler]:
    """The page, which asks for its result while it is shown; without JavaScript a link does. And example mails."""
    one_at_a_time = asyncio.Lock()

    @get("/{name:str}/rehearsal")
    async def rehearse_journey(
        request: PageRequest, name: FromPath[str], days: FromQuery[str] = "", result: FromQuery[str] = ""
    ) -> Response[Any]:
        require(request, MARKETER.name)
        opened = await open_journey(studio, name)
        journey = as_decided(name, opened.text)
        chosen = next((one for one in DAYS if str(one) == days), DAYS[0])
        asked = {
            "opened": opened,
            "journey": journey,
            "days": chosen,
            "choices": DAYS,
            "words": words,
            "found_by": "" if journey is None or journey.trigger == CART_ABANDONED else short(journey.trigger),
        }
        if journey is None or not result:
            shown = {**asked, "found": None, "sentence": sentence(journey) if journey else ""}
            return studio.show(request, "journey_rehearsal.html.j2", shown)
        until = datetime.now(UTC)
        async with one_at_a_time:  # each takes a core
            past = await read_past(studio.mesh, until - timedelta(days=chosen), until, trigger=journey.trigger)
            rehearsal = Rehearsal(past, journey)
            await _in_turns(rehearsal.steps())
            found: Report = report(past, journey, rehearsal.results())
        languages = await languages_of(found.mails, studio.mesh)
        part = request.headers.get("hx-request") == "true"
        shown = {**asked, "found": found, "languages": languages, "named": language_name, "sentence": sentence(journey)}
        template = "journey_rehearsed.html.j2" if part else "journey_rehearsal.html.j2"
        return studio.show(request, template, shown)

    @get("/{name:str}/rehearsal/mail")
    async def show_example_mail(
        request: PageRequest,
        name: FromPath[str],
        cart: FromQuery[str],
        template: FromQuery[str],
        percent: FromQuery[int],
    ) -> Response[str]:
        """The mail of an offer that would be sent, by the template in force, to its shopper without their name."""
        require(request, MARKETER.name)
        return framed_html(await example_mail(studio.mesh, pool, name, cart, template, percent))

    return [rehearse_journey, show_example_mail]


async def _in_turns(steps: Iterator[None]) -> None:
    """All of them, while others have their turns."""
    for number, _ in enumerate(steps):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
