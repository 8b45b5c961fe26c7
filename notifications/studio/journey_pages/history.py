"""History: every revision of a journey, with what it changed, and the way back to it."""

from collections.abc import Sequence

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from notifications.documents.document import Document, Version
from notifications.documents.publishing import versions
from notifications.journeys.kind import JOURNEYS
from notifications.studio.journey_pages.changes import Difference, differences
from notifications.studio.journey_pages.opened import PageRequest, authors_of, open_journey, rights
from notifications.studio.studio import Studio


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A revision, and what it changed of the one before it (None: it is the first)."""

    document: Document
    state: str
    difference: Difference | None
    before: int | None


def history_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """The list of revisions."""

    @get("/{name:str}/history")
    async def show_journey_history(request: PageRequest, name: FromPath[str]) -> Response[bytes]:
        opened, known = await open_journey(studio, name), await versions(JOURNEYS, name, studio.mesh)
        values = {
            "opened": opened,
            "authors": await authors_of(studio, *(one.document for one in known)),
            "entries": entries(name, known),
            **rights(request),
        }
        return studio.show(request, "journey_history.html.j2", values)

    return [show_journey_history]


def entries(name: str, known: Sequence[Version]) -> list[Entry]:
    """Versions, newest first, each compared with the revision that was in force before it."""
    return [_entry(name, version, known[index + 1 :]) for index, version in enumerate(known)]


def _entry(name: str, version: Version, older: Sequence[Version]) -> Entry:
    document = version.document
    before = next((one.document for one in older if one.document.revision < document.revision), None)
    return Entry(
        document=document,
        state=version.state,
        difference=differences(name, before.files, document.files) if before else None,
        before=before.revision if before else None,
    )
