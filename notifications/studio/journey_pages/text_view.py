"""Text view: a journey's TOML for those who know its fields, saved the same way as the form."""

from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.errors import DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.documents.document import Superseded, difference
from notifications.journeys.kind import FILE
from notifications.studio.journey_pages.fields import FIELDS
from notifications.studio.journey_pages.form import WHOLE, placed
from notifications.studio.journey_pages.opened import Opened, PageRequest, numbers_sent, open_journey, rights, subject
from notifications.studio.journey_pages.saving import save, who_was_quicker
from notifications.studio.studio import Studio


def text_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """The text, and what saves it."""

    @get("/{name:str}/text")
    async def edit_journey_text(request: PageRequest, name: FromPath[str]) -> Response[bytes]:
        return await show(request, await open_journey(studio, name))

    @post("/{name:str}/text", status_code=200)
    async def save_journey_text(request: PageRequest, name: FromPath[str]) -> Response[Any]:
        """Save the text as the draft."""
        author = require(request, MARKETER.name).account.id
        opened, sent, seen = await open_journey(studio, name), await request.form(), await numbers_sent(request)
        text = str(sent.get("text", "")).replace("\r\n", "\n")
        carried = {"text": text, "version": seen["version"], "revision": seen["revision"]}
        try:
            saved = await save(studio, opened, text, author, version=seen["version"], revision=seen["revision"])
        except Superseded:
            opened = await open_journey(studio, name)
            found = difference({FILE: opened.text}, {FILE: text})
            return await show(request, opened, **carried, difference=found, status=409)
        except DeclarationError as error:
            return await show(request, opened, **carried, wrong=_words(error), status=422)
        note(request, subject(name), **({"draft_version": str(saved)} if saved else {"changed": "nothing"}))
        return Redirect(f"{studio.path}/{name}?done=saved", status_code=303)

    async def show(request: PageRequest, opened: Opened, *, status: int = 200, **shown: Any) -> Response[bytes]:
        values = {
            "opened": opened,
            "text": opened.text,
            "version": opened.version,
            "revision": opened.revision,
            "wrong": "",
            "difference": "",
            "quicker": who_was_quicker(opened),
            **rights(request),
        }
        return studio.show(request, "journey_text.html.j2", values | shown, status=status)

    return [edit_journey_text, save_journey_text]


def _words(error: DeclarationError) -> str:
    """What is wrong, with the name of the field as the text has it."""
    [(key, words)] = placed(error).items()
    return words if key == WHOLE else f"{key} ({FIELDS[key].label}): {words}"
