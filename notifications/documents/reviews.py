"""Reviews: what a second person said of a draft, where the settings ask for one before it is published.

A review is of one version of a draft: what is saved afterwards has none. It stays in the draft's region.
"""

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import msgspec

from mesh import Bucket, Mesh
from mesh.errors import Conflict, DeclarationError
from mesh.settings import read
from notifications.documents.kind import Kind

if TYPE_CHECKING:
    from notifications.documents.drafts import DocumentDraft

LONGEST_COMMENT = 2000


class ReviewSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`review_required` are the kinds of documents whose drafts two people see, such as `journeys,templates,blocks`."""

    review_required: tuple[str, ...] = ()


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What was said last about a version of a draft: by whom (an account's id), when (aware UTC), and a comment.

    It is `asked` for by somebody who wants the version in force, `approved`, or `returned` to be changed.
    """

    version: int
    state: Literal["asked", "approved", "returned"]
    by: str
    time: datetime
    comment: str = ""


REVIEWS = Bucket("reviews", Review, history=64)


class NotReviewed(Conflict):
    """A draft may not be published, or not be approved by this person; the message says who may, and what to do."""


def kinds_reviewed(kinds: Iterable[Kind]) -> frozenset[str]:
    """The names of those kinds whose drafts need a second person, by this process's settings.

    DeclarationError names a kind that there is not.
    """
    known = {kind.plural: kind.name for kind in kinds}
    for wanted in (chosen := read(ReviewSettings).review_required):
        if wanted not in known:
            near = get_close_matches(wanted, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise DeclarationError(f"CARTMESH_REVIEW_REQUIRED: there are no documents {wanted}; {hint}")
    return frozenset(known[one] for one in chosen)


def review_key(kind: Kind, name: str) -> str:
    """The key of a document's review."""
    return f"{kind.name}--{name}"


async def review_of(kind: Kind, name: str, version: int, mesh: Mesh) -> Review | None:
    """What was said last about this version of a draft; None where nothing was."""
    found = await mesh.state(REVIEWS).get(review_key(kind, name))
    return found if found and found.version == version else None


async def check_reviewed(kind: Kind, draft: "DocumentDraft", version: int, author: str, mesh: Mesh) -> None:
    """Raise NotReviewed where `author` would publish a draft that nobody else has seen.

    Somebody else has where they are not who changed it last, or where this version was approved.
    """
    if author != draft.changer:
        return
    review = await review_of(kind, draft.name, version, mesh)
    if review is not None and review.state == "approved":
        return
    raise NotReviewed(
        f"you changed the draft of {kind.name} {draft.name} last, so somebody else looks at it first: ask for review "
        f"of version {version}, and publish it once another publisher has approved it, or let them publish it"
    )
