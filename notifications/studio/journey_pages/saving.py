"""Saving: a draft is stored only over what its author has read; otherwise both texts are shown."""

from litestar.exceptions import HTTPException

from notifications.documents.document import Superseded
from notifications.documents.drafts import read_draft, save_draft
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.studio.journey_pages.opened import Opened
from notifications.studio.studio import Studio


async def save(
    studio: Studio, opened: Opened, text: str, author: str, *, version: int | None, revision: int | None
) -> int | None:
    """Save a text that was written over a version and a revision in force; the version it has now, None: as it was.

    Raises DeclarationError for a wrong journey, Superseded where somebody else saved or published meanwhile.
    """
    files = {FILE: text}
    if opened.draft is None:
        if opened.revision != revision:
            raise Superseded(f"revision {opened.revision} of journey {opened.name} was published meanwhile")
        if text == opened.text and version == opened.version:
            return None
    try:
        return await save_draft(JOURNEYS, opened.name, files, author, studio.mesh, version=version or 0)
    except Superseded:
        draft, stored = await read_draft(JOURNEYS, opened.name, studio.mesh)
        if draft is not None and (draft.author, draft.files) == (author, files):
            return stored  # the same text, sent by the same page a moment before
        raise


def late(opened: Opened) -> HTTPException:
    """The page for who was late with a button: who was quicker, by name, and what to do."""
    return HTTPException(f"{who_was_quicker(opened)}: look at it, then do it again", status_code=409)


def who_was_quicker(opened: Opened) -> str:
    """Who saved or published meanwhile, in words."""
    if opened.draft is not None:
        return f"{opened.by(opened.draft.author)} saved this draft at {opened.draft.time:%H:%M:%S} UTC"
    if opened.in_force is not None:
        who, at = opened.by(opened.in_force.author), opened.in_force.time
        return (
            f"The draft was published or discarded; revision {opened.revision} by {who} ({at:%H:%M:%S} UTC) is in force"
        )
    return "The draft was discarded"
