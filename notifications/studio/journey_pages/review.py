"""Review: what a draft changes of what is in force, and the way to publish it in every region."""

from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.channels import EMAIL
from mesh.errors import Conflict, DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER, PUBLISHER
from notifications.documents.document import Superseded
from notifications.documents.drafts import publish_draft, save_draft
from notifications.documents.publishing import find_revision
from notifications.journeys import Journey
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.studio.journey_pages.changes import EditConflict, conflicts, differences, merged, typed_in_text
from notifications.studio.journey_pages.form import Typed, write
from notifications.studio.journey_pages.opened import (
    Opened,
    PageRequest,
    numbers_sent,
    open_journey,
    refused,
    rights,
    subject,
)
from notifications.studio.journey_pages.overridden import as_decided
from notifications.studio.journey_pages.sentence import sentence
from notifications.studio.journey_pages.step_words import alike_variants
from notifications.studio.second_look import second_look
from notifications.studio.sender_pages.troubles import sender_troubles
from notifications.studio.studio import Studio

KEEP = "keep"
"""What a form sends where runs under way keep the revision that they have."""


def review_routes(studio: Studio) -> list[HTTPRouteHandler]:
    """The page that shows what publishing changes, and what publishes."""

    @get("/{name:str}/review")
    async def review_journey(request: PageRequest, name: FromPath[str]) -> Response[Any]:
        opened = await open_journey(studio, name)
        if opened.draft is None:
            return Redirect(f"{studio.path}/{name}", status_code=303)
        return await _show(studio, request, opened)

    @post("/{name:str}/publish")
    async def publish_journey(request: PageRequest, name: FromPath[str]) -> Response[Any]:
        """Put the draft that was looked at in force, over the revision that was looked at."""
        author, seen = require(request, PUBLISHER.name).account.id, await numbers_sent(request)
        before = (await open_journey(studio, name)).revision
        version, expected = seen["version"] or 0, seen["expected"]
        keeps = (await request.form()).get("runs") == KEEP
        try:
            made = await publish_draft(
                JOURNEYS,
                name,
                author,
                studio.mesh,
                version=version,
                expected=expected,
                keep_runs=keeps,
                needs_review=studio.needs_review,
            )
        except (Conflict, DeclarationError) as error:
            opened = await open_journey(studio, name)
            if opened.draft is None:
                raise refused(error) from None
            return await _show(studio, request, opened, error)
        note(request, subject(name), revision=str(made.revision), **({"runs": KEEP} if keeps else {}))
        undo = "" if before is None else f"&before={before}"
        return Redirect(f"{studio.path}/{name}?done=published{undo}", status_code=303)

    @post("/{name:str}/rebase")
    async def rebase_journey_draft(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Put what the draft changed on top of what is in force, both as they were looked at."""
        author, seen = require(request, MARKETER.name).account.id, await numbers_sent(request)
        opened = await open_journey(studio, name)
        if opened.draft is None or (opened.version, opened.revision) != (seen["version"], seen["expected"]):
            raise HTTPException("somebody saved or published meanwhile: compare again", status_code=409)
        try:
            text = write(name, _text_in_force(opened), merged(*await _sides(studio, opened))).text
            saved = await save_draft(
                JOURNEYS, name, {FILE: text}, author, studio.mesh, version=opened.version, begin=True, follows=True
            )
        except (Conflict, DeclarationError) as error:
            raise refused(error) from None
        note(request, subject(name), draft_version=str(saved), based_on=str(opened.revision))
        return Redirect(f"{studio.path}/{name}/review", status_code=303)

    return [review_journey, publish_journey, rebase_journey_draft]


async def _show(
    studio: Studio, request: PageRequest, opened: Opened, refusal: Conflict | DeclarationError | None = None
) -> Response[bytes]:
    journey, is_late = as_decided(opened.name, opened.text), isinstance(refusal, Superseded)
    in_force = opened.in_force.files if opened.in_force else None
    words = "Not published: somebody was quicker. Compare again." if is_late else f"Not published: {refusal}."
    values = {
        "opened": opened,
        "difference": differences(opened.name, in_force, {FILE: opened.text}),
        "sentence": sentence(journey) if journey else "",
        "troubles": list(sender_troubles()) if journey and _sends_mail(journey) else [],
        "alike": alike_variants(journey) if journey else {},
        "conflicts": await _conflicts(studio, opened),
        "refusal": words if refusal else "",
        "look": await second_look(studio, JOURNEYS, request, opened.draft, opened.version),
        **rights(request),
    }
    status = (409 if isinstance(refusal, Conflict) else 422) if refusal else 200
    return studio.show(request, "journey_review.html.j2", values, status=status)


def _sends_mail(journey: Journey) -> bool:
    return any(EMAIL.name in (step.channels or journey.channels) for step in journey.listed_steps)


async def _conflicts(studio: Studio, opened: Opened) -> list[EditConflict] | None:
    """What the draft and the revision that was published since changed; None where there is none since."""
    if not opened.is_behind:
        return None
    try:
        return conflicts(*await _sides(studio, opened))
    except DeclarationError:
        return []


async def _sides(studio: Studio, opened: Opened) -> Sequence[Typed]:
    """What the draft was begun on (where that is not known: what is in force), what is in force, and the draft."""
    number, region = (opened.draft.based_on, opened.draft.based_on_region) if opened.draft else (None, "")
    found = None if number is None else await find_revision(JOURNEYS, opened.name, number, studio.mesh, region=region)
    begun_on = found.files[FILE] if found else _text_in_force(opened)
    return [typed_in_text(opened.name, text) for text in (begun_on, _text_in_force(opened), opened.text)]


def _text_in_force(opened: Opened) -> str:
    return opened.in_force.files[FILE] if opened.in_force else opened.text
