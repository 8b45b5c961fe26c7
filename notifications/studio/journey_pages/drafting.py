"""Drafting: a draft is discarded, and opened again where that was a mistake."""

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.errors import Conflict
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.documents.document import UnknownDocument
from notifications.documents.drafts import discard_draft, read_draft, restore_draft
from notifications.journeys.kind import JOURNEYS
from notifications.studio.journey_pages.opened import PageRequest, numbers_sent, open_journey, refused, subject
from notifications.studio.journey_pages.saving import late
from notifications.studio.studio import Studio


def drafting_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """What ends a draft, and undoes that."""

    @post("/{name:str}/discard")
    async def discard_journey_draft(request: PageRequest, name: FromPath[str]) -> Redirect:
        """End the draft that was looked at; the list offers to open it again."""
        require(request, MARKETER.name)
        await open_journey(studio, name)
        version = (await numbers_sent(request))["version"]
        try:
            await discard_draft(JOURNEYS, name, studio.mesh, version=version or 0)
        except UnknownDocument as error:
            raise refused(error) from None
        except Conflict:
            raise late(await open_journey(studio, name)) from None
        _, closed = await read_draft(JOURNEYS, name, studio.mesh)
        note(request, subject(name))
        return Redirect(f"{studio.path}?discarded={name}&version={closed}", status_code=303)

    @post("/{name:str}/restore")
    async def restore_journey_draft(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Open the draft again that was discarded last."""
        person, version = require(request, MARKETER.name), (await numbers_sent(request))["version"]
        try:
            opened = await restore_draft(JOURNEYS, name, person.account.id, studio.mesh, version=version or 0)
        except (Conflict, UnknownDocument) as error:
            raise refused(error) from None
        note(request, subject(name), draft_version=str(opened))
        return Redirect(f"{studio.path}/{name}?done=restored", status_code=303)

    return [discard_journey_draft, restore_journey_draft]
