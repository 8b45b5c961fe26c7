"""Reviewing: a draft is offered for review, and approved or sent back, each for exactly the version that was seen."""

from datetime import UTC, datetime
from typing import Literal

from mesh import Mesh
from mesh.errors import DeclarationError
from notifications.documents.drafts import DocumentDraft, draft_at, read_draft
from notifications.documents.kind import Kind
from notifications.documents.reviews import LONGEST_COMMENT, REVIEWS, NotReviewed, Review, review_key

State = Literal["asked", "approved", "returned"]


async def ask_for_review(kind: Kind, name: str, author: str, mesh: Mesh, *, version: int, comment: str = "") -> Review:
    """Offer a version of a draft for review.

    Raises UnknownDocument where there is no draft, Superseded where it is not at `version` any more, DeclarationError
    for a comment that is too long.
    """
    await draft_at(kind, name, mesh, version)
    return await _store(kind, name, "asked", author, mesh, version, comment)


async def approve(kind: Kind, name: str, author: str, mesh: Mesh, *, version: int, comment: str = "") -> Review:
    """Let whoever changed a version of a draft last publish it, with nothing changed.

    Raises NotReviewed for that person themselves, and what `ask_for_review` raises.
    """
    draft, _ = await draft_at(kind, name, mesh, version)
    if author == draft.changer:
        raise NotReviewed(f"you changed the draft of {kind.name} {name} last: another publisher approves it")
    return await _store(kind, name, "approved", author, mesh, version, comment)


async def send_back(kind: Kind, name: str, author: str, mesh: Mesh, *, version: int, comment: str) -> Review:
    """Say what is to be changed in a version of a draft; an approval of it is taken back.

    Raises what `ask_for_review` raises, and DeclarationError without a comment.
    """
    await draft_at(kind, name, mesh, version)
    if not comment.strip():
        raise DeclarationError("comment: say what is to be changed")
    return await _store(kind, name, "returned", author, mesh, version, comment)


async def waiting_for_review(kind: Kind, mesh: Mesh) -> dict[str, tuple[DocumentDraft, Review]]:
    """The drafts of a kind that somebody wants reviewed, by name, as they are now."""
    found = {}
    for key, review in [one async for one in mesh.state(REVIEWS).items()]:
        name = key.removeprefix(review_key(kind, ""))
        if name == key or review.state != "asked":
            continue
        draft, version = await read_draft(kind, name, mesh)
        if draft is not None and review.version == version:
            found[name] = draft, review
    return found


async def _store(kind: Kind, name: str, state: State, author: str, mesh: Mesh, version: int, comment: str) -> Review:
    if len(comment) > LONGEST_COMMENT:
        raise DeclarationError(f"comment: {len(comment):,} characters are more than the {LONGEST_COMMENT:,} allowed")
    made = Review(version=version, state=state, by=author, time=datetime.now(UTC), comment=comment.strip())
    await mesh.state(REVIEWS).put(review_key(kind, name), made)
    return made
