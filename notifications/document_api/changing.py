"""Changing: marketers save and discard drafts, publishers publish and revert. Each change is put on record."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, delete, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from mesh import Mesh
from mesh.web.accounts import Accounts
from mesh.web.audit import note
from mesh.web.guard import TOKENS, require
from mesh.web.roles import MARKETER, PUBLISHER
from notifications.document_api.bodies import PublishDraft, Revert, Revision, SaveDraft, Whole
from notifications.document_api.problems import problems
from notifications.document_api.views import names_of_authors, revision, whole
from notifications.documents import drafts, publishing
from notifications.documents.document import Document
from notifications.documents.kind import Kind

BY_TOKEN = {TOKENS: True}


Follow = Callable[[Document, str], Awaitable[object]]
"""What follows the publication of a revision by somebody."""


def changing_routes(
    kind: Kind, mesh: Mesh, accounts: Accounts, *, needs_review: bool, follow: Follow | None = None
) -> list[HTTPRouteHandler]:
    """All that changes something."""
    return [
        *_drafts(kind, mesh, accounts),
        *_publishing(kind, mesh, accounts, needs_review=needs_review, follow=follow),
    ]


def _drafts(kind: Kind, mesh: Mesh, accounts: Accounts) -> list[HTTPRouteHandler]:
    @put("/{name:str}/draft", opt=BY_TOKEN, summary=f"Save a draft of a {kind.name}", responses=problems(400, 409, 422))
    async def save_draft(request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[SaveDraft]) -> Whole:
        """Create or replace the draft, which is not in force. Needs the role marketer."""
        person = require(request, MARKETER.name)
        version = await drafts.save_draft(
            kind, name, data.files, person.account.id, mesh, version=data.version, begin=data.begin
        )
        note(request, _subject(kind, name), draft_version=str(version))
        return await whole(kind, name, mesh, accounts)

    @delete(
        "/{name:str}/draft",
        opt=BY_TOKEN,
        summary=f"Discard the draft of a {kind.name}",
        responses=problems(400, 404, 409),
    )
    async def discard_draft(request: Request[Any, Any, Any], name: FromPath[str], version: FromQuery[int]) -> None:
        """End the draft without publishing it, if it is still at this version. Needs the role marketer."""
        require(request, MARKETER.name)
        await drafts.discard_draft(kind, name, mesh, version=version)
        note(request, _subject(kind, name))

    return [save_draft, discard_draft]


def _publishing(
    kind: Kind, mesh: Mesh, accounts: Accounts, *, needs_review: bool, follow: Follow | None
) -> list[HTTPRouteHandler]:
    @post(
        "/{name:str}/publish",
        opt=BY_TOKEN,
        summary=f"Publish the draft of a {kind.name}",
        responses=problems(400, 404, 409, 422),
    )
    async def publish_draft(
        request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[PublishDraft]
    ) -> Revision:
        """Put the draft in force in every region, as the next revision. Needs the role publisher."""
        person = require(request, PUBLISHER.name)
        made = await drafts.publish_draft(
            kind,
            name,
            person.account.id,
            mesh,
            version=data.version,
            expected=data.expected_revision,
            keep_runs=data.keep_runs,
            needs_review=needs_review,
        )
        return await _published(request, made, **({"runs": "keep"} if data.keep_runs else {}))

    @post(
        "/{name:str}/revert",
        opt=BY_TOKEN,
        summary=f"Publish an earlier revision of a {kind.name} again",
        responses=problems(400, 404, 409, 422),
    )
    async def revert_document(request: Request[Any, Any, Any], name: FromPath[str], data: JSONBody[Revert]) -> Revision:
        """Put an earlier revision's texts in force again, as the next revision. Needs the role publisher."""
        person = require(request, PUBLISHER.name)
        made = await publishing.revert(
            kind, name, data.revision, person.account.id, mesh, expected=data.expected_revision
        )
        return await _published(request, made, reverted_to=str(data.revision))

    async def _published(request: Request[Any, Any, Any], made: Document, **details: str) -> Revision:
        note(request, _subject(kind, made.name), revision=str(made.revision), **details)
        if follow is not None:
            await follow(made, made.author)
        return revision(made, await names_of_authors(accounts, made), texts=True)

    return [publish_draft, revert_document]


def _subject(kind: Kind, name: str) -> str:
    return f"{kind.name}/{name}"
