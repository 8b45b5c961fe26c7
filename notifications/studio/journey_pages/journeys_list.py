"""Journeys list: every journey with what it does, who published it and who is editing it; a new one is begun here."""

import re
import unicodedata
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh.errors import DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.documents.document import SEED, Document
from notifications.documents.drafts import DocumentDraft, open_drafts, read_draft, save_draft
from notifications.documents.kind import is_name
from notifications.journeys import Journey
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.journeys.starts import STARTS, start
from notifications.studio.journey_pages.opened import (
    PageRequest,
    authors_of,
    journeys_in_force,
    rights,
    subject,
)
from notifications.studio.journey_pages.overridden import as_decided
from notifications.studio.journey_pages.step_words import running_tests, steps_in_words
from notifications.studio.journey_pages.trigger_input import short
from notifications.studio.second_look import asked_by
from notifications.studio.studio import Studio

START = "start:"
"""What the choice of a ready journey begins with."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A journey in the list: what is in force, else what the draft says; `journey` is None where it cannot be read.

    `tests` are the steps that test variants now, and which.
    """

    name: str
    journey: Journey | None
    steps: list[str]
    tests: dict[str, str]
    starts: str
    in_force: Document | None
    draft: DocumentDraft | None

    @property
    def is_shipped(self) -> bool:
        """Whether what is in force came with Cartmesh, and nobody published anything of it."""
        return self.in_force is not None and self.in_force.author == SEED


def list_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """The list, and what begins a new journey."""

    @get("/")
    async def list_journeys(
        request: PageRequest,
        discarded: FromQuery[str] = "",
        version: FromQuery[int | None] = None,
        switched: FromQuery[str] = "",
        before: FromQuery[int | None] = None,
    ) -> Response[bytes]:
        discarded = discarded if is_name(discarded) else ""  # it becomes part of the address of a form
        return await show(request, discarded=discarded, version=version, switched=switched, before=before)

    @post("/")
    async def create_journey(request: PageRequest) -> Response[Any]:
        """Begin a journey as a draft with the text of another one, or of a ready one."""
        person, sent = require(request, MARKETER.name), await request.form()
        asked, copied = str(sent.get("name", "")), str(sent.get("copy", ""))
        name, in_force = name_of(asked), await journeys_in_force(studio.mesh)
        carried = {"asked": asked, "copied": copied}
        begun = copied.removeprefix(START) if copied.startswith(START) else ""
        if copied not in in_force and begun not in STARTS:
            return await show(request, **carried, wrong={"copy": "Choose the journey to begin with."}, status=422)
        try:
            draft, version = await read_draft(JOURNEYS, name, studio.mesh) if name else (None, 0)
            if name in in_force or draft is not None:
                words = f"There is a journey {name} already. Choose another name."
                return await show(request, **carried, wrong={"name": words}, status=409)
            files = {FILE: start(begun) if begun else in_force[copied].files[FILE]}
            saved = await save_draft(JOURNEYS, name, files, person.account.id, studio.mesh, version=version)
        except DeclarationError as error:
            return await show(request, **carried, wrong={"name": f"{error}."}, status=422)
        note(request, subject(name), draft_version=str(saved), copy_of=copied)
        return Redirect(f"{studio.path}/{name}?done=created", status_code=303)

    async def show(request: PageRequest, *, status: int = 200, **shown: Any) -> Response[bytes]:
        in_force, drafts = await journeys_in_force(studio.mesh), await open_drafts(JOURNEYS, studio.mesh)
        values = {
            "rows": [_row(name, in_force.get(name), drafts.get(name)) for name in sorted({*in_force, *drafts})],
            "copies": sorted(in_force),
            "starts": [(f"{START}{one}", words) for one, words in STARTS.items()],
            "authors": await authors_of(studio, *in_force.values(), *drafts.values()),
            "asked_by": await asked_by(studio, JOURNEYS),
            "needs_review": studio.needs_review,
            "asked": "",
            "copied": "",
            "wrong": {},
            "discarded": "",
            "version": None,
            "switched": "",
            "before": None,
            **rights(request),
        }
        return studio.show(request, "journeys.html.j2", values | shown, status=status)

    return [list_journeys, create_journey]


def name_of(asked: str) -> str:
    """`Spring sale` as a name of a document: `spring-sale`."""
    plain = unicodedata.normalize("NFKD", asked).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))


def _row(name: str, in_force: Document | None, draft: DocumentDraft | None) -> Row:
    newest = in_force or draft
    journey = as_decided(name, newest.files[FILE]) if newest else None
    return Row(
        name=name,
        journey=journey,
        steps=steps_in_words(journey) if journey else [],
        tests=running_tests(journey) if journey else {},
        starts=short(journey.trigger) if journey else "",
        in_force=in_force,
        draft=draft,
    )
