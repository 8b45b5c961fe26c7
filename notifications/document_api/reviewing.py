"""Reviewing: a draft is offered for review, approved or sent back, where its kind needs a second person."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from mesh import Mesh
from mesh.web.accounts import Accounts
from mesh.web.audit import note
from mesh.web.guard import TOKENS, require
from mesh.web.roles import MARKETER, PUBLISHER, Role
from notifications.document_api.bodies import ReviewDraft, Reviewed
from notifications.document_api.problems import problems
from notifications.document_api.views import reviewed
from notifications.documents.kind import Kind
from notifications.documents.reviewing import approve, ask_for_review, send_back
from notifications.documents.reviews import Review

BY_TOKEN = {TOKENS: True}


def reviewing_routes(kind: Kind, mesh: Mesh, accounts: Accounts) -> list[HTTPRouteHandler]:
    """What is said of a draft, each of the version that was read."""
    refusals = problems(400, 404, 409, 422)

    @post("/{name:str}/ask", opt=BY_TOKEN, summary=f"Ask for review of a {kind.name}", responses=refusals)
    async def ask_for_draft_review(
        request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[ReviewDraft]
    ) -> Reviewed:
        """Offer the draft for review. Needs the role marketer."""
        return await said(ask_for_review, request, name, data, MARKETER)

    @post("/{name:str}/approve", opt=BY_TOKEN, summary=f"Approve the draft of a {kind.name}", responses=refusals)
    async def approve_draft(
        request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[ReviewDraft]
    ) -> Reviewed:
        """Let whoever changed the draft last publish it as it is. Needs the role publisher, and another person."""
        return await said(approve, request, name, data, PUBLISHER)

    @post("/{name:str}/send-back", opt=BY_TOKEN, summary=f"Send the draft of a {kind.name} back", responses=refusals)
    async def send_draft_back(
        request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[ReviewDraft]
    ) -> Reviewed:
        """Say in the comment what is to be changed; an approval is taken back. Needs the role publisher."""
        return await said(send_back, request, name, data, PUBLISHER)

    async def said(
        says: Callable[..., Awaitable[Review]],
        request: Request[Any, Any, Any],
        name: str,
        data: ReviewDraft,
        role: Role,
    ) -> Reviewed:
        person = require(request, role.name)
        made = await says(kind, name, person.account.id, mesh, version=data.version, comment=data.comment)
        note(request, f"{kind.name}/{name}", draft_version=str(made.version))
        return reviewed(made, await accounts.names([made.by]))

    return [ask_for_draft_review, approve_draft, send_draft_back]
