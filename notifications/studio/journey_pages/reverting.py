"""Reverting: an earlier revision is put in force again, and a journey is turned on or off, each as a new revision."""

from litestar import post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.errors import Conflict, DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import PUBLISHER
from notifications.documents.publishing import publish, versions
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.studio.journey_pages.changes import typed_in_text
from notifications.studio.journey_pages.form import write
from notifications.studio.journey_pages.opened import (
    Opened,
    PageRequest,
    numbers_sent,
    open_journey,
    refused,
    subject,
)
from notifications.studio.journey_pages.saving import late
from notifications.studio.studio import Studio


def reverting_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """What publishes without a draft."""

    @post("/{name:str}/revert")
    async def revert_journey(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Publish an earlier revision again, also one that lost to a concurrent one of another region."""
        seen, region = await numbers_sent(request), str((await request.form()).get("region", ""))
        opened = await open_journey(studio, name)
        known = [version.document for version in await versions(JOURNEYS, name, studio.mesh)]
        found = [one for one in known if one.revision == seen["revision"] and region in ("", one.region)]
        if not found:
            raise HTTPException(f"journey {name} has no such revision", status_code=404)
        await _publish(studio, request, opened, found[0].files, reverted_to=str(found[0].revision))
        return Redirect(f"{studio.path}/{name}?done=published&before={opened.revision}", status_code=303)

    @post("/{name:str}/switch")
    async def switch_journey(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Turn a journey on or off: the next revision differs in that alone."""
        is_on, opened = (await request.form()).get("active") == "on", await open_journey(studio, name)
        if opened.in_force is None:
            raise HTTPException(f"journey {name} was not published yet", status_code=409)
        if is_on and studio.needs_review:
            words = "two people see what is turned on: tick Running in its form, and ask for review"
            raise HTTPException(f"journey {name} is not turned on: {words}", status_code=409)
        text = opened.in_force.files[FILE]
        try:
            typed = dict(typed_in_text(name, text)) | {"active": {"": ["on"] if is_on else []}}
        except DeclarationError as error:
            raise refused(error) from None
        files = {FILE: write(name, text, typed).text}
        await _publish(studio, request, opened, files, active="on" if is_on else "off")
        return Redirect(f"{studio.path}?switched={name}&before={opened.revision}", status_code=303)

    return [revert_journey, switch_journey]


async def _publish(studio: Studio, request: PageRequest, opened: Opened, files: dict[str, str], **details: str) -> None:
    """Publish texts over the revision that was looked at."""
    author, expected = require(request, PUBLISHER.name).account.id, (await numbers_sent(request))["expected"]
    try:
        made = await publish(JOURNEYS, opened.name, files, author, studio.mesh, expected=expected)
    except Conflict:
        raise late(await open_journey(studio, opened.name)) from None
    except DeclarationError as error:
        raise refused(error) from None
    note(request, subject(opened.name), revision=str(made.revision), **details)
