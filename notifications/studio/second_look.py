"""Second look: the review of a draft on its page, where the settings ask for one before it is published."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Request, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.errors import Conflict, DeclarationError, InvalidKey
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER, PUBLISHER, Role
from notifications.documents.document import UnknownDocument
from notifications.documents.drafts import DocumentDraft
from notifications.documents.kind import Kind
from notifications.documents.reviewing import approve, ask_for_review, send_back, waiting_for_review
from notifications.documents.reviews import Review, review_of
from notifications.studio.studio import Studio

PageRequest = Request[Any, Any, Any]


class SecondLook(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a draft shows of its review. `is_own`: whoever looks changed the draft last.

    `clear`: whoever looks may publish it, if they have the role.
    """

    required: bool
    review: Review | None
    by: str
    is_own: bool

    @property
    def clear(self) -> bool:
        """Whether two people have seen this version once it is published by whoever looks."""
        return not self.required or not self.is_own or (self.review is not None and self.review.state == "approved")


async def second_look(
    studio: Studio, kind: Kind, request: PageRequest, draft: DocumentDraft | None, version: int
) -> SecondLook:
    """The review of a version of a draft, for whoever looks at it."""
    if not studio.needs_review or draft is None:
        return SecondLook(required=False, review=None, by="", is_own=False)
    review, person = await review_of(kind, draft.name, version, studio.mesh), require(request, "viewer")
    names = await studio.console.accounts.names([review.by] if review else [])
    by = names.get(review.by, review.by) if review else ""
    return SecondLook(required=True, review=review, by=by, is_own=person.account.id == draft.changer)


async def asked_by(studio: Studio, kind: Kind) -> dict[str, str]:
    """Which drafts wait for a review, and the names of those who asked. Empty where no review is needed."""
    if not studio.needs_review:
        return {}
    found = await waiting_for_review(kind, studio.mesh)
    names = await studio.console.accounts.names(review.by for _, review in found.values())
    return {name: names.get(review.by, review.by) for name, (_, review) in found.items()}


def second_look_routes(studio: Studio, kind: Kind) -> list[HTTPRouteHandler]:
    """What asks for a review, approves a draft and sends it back."""

    @post("/{name:str}/ask")
    async def ask_for_draft_review(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Offer the draft that was looked at for review."""
        return await said(ask_for_review, request, name, MARKETER)

    @post("/{name:str}/approve")
    async def approve_draft(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Let whoever changed the draft last publish it as it was looked at."""
        return await said(approve, request, name, PUBLISHER)

    @post("/{name:str}/send-back")
    async def send_draft_back(request: PageRequest, name: FromPath[str]) -> Redirect:
        """Say what is to be changed before the draft is published."""
        return await said(send_back, request, name, PUBLISHER)

    async def said(says: Callable[..., Awaitable[Review]], request: PageRequest, name: str, role: Role) -> Redirect:
        author, sent = require(request, role.name).account.id, await request.form()
        version, comment = str(sent.get("version", "")), str(sent.get("comment", ""))
        try:
            made = await says(
                kind,
                name,
                author,
                studio.mesh,
                version=int(version) if version.isdecimal() else -1,
                comment=comment.replace("\r\n", "\n"),
            )
        except (Conflict, DeclarationError, InvalidKey) as error:
            status = (
                404 if isinstance(error, UnknownDocument | InvalidKey) else 409 if isinstance(error, Conflict) else 422
            )
            raise HTTPException(str(error), status_code=status) from None
        note(request, f"{kind.name}/{name}", draft_version=str(made.version))
        return Redirect(f"{studio.path}/{name}/review", status_code=303)

    return [ask_for_draft_review, approve_draft, send_draft_back]
