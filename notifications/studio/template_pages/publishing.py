"""Publishing: what a draft changes, its publication, every revision with what it changed, and the way back to one."""

from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh.errors import Conflict, DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER, PUBLISHER
from notifications.documents.document import Superseded, UnknownDocument, Version
from notifications.documents.drafts import publish_draft, save_draft
from notifications.documents.publishing import revert, versions
from notifications.studio.second_look import second_look
from notifications.studio.template_pages.differences import differences
from notifications.studio.template_pages.edited import Edited
from notifications.studio.template_pages.editor import DONE, Editor
from notifications.studio.template_pages.labels import language_name, sentence

Refused = (Conflict, DeclarationError)
PUBLISHED = {
    "published": "Published. Mails that are decided from now on are sent with it, in every region.",
    "reverted": "Put back: the earlier texts are in force again, as a new revision.",
}


def publishing_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """The review of a draft, and the history."""
    return [*_review(editor), *_history(editor)]


def _review(editor: Editor) -> list[HTTPRouteHandler]:
    show = partial(_show_review, editor)

    @get("/{name:str}/review")
    async def review_template(request: Request[Any, Any, Any], name: FromPath[str], done: FromQuery[str] = "") -> Any:
        edited = await editor.read(name)
        if edited.draft is None:
            return Redirect(f"{editor.studio.path}/{name}/history", status_code=303)
        return await show(request, edited, done=DONE.get(done, ""))

    @post("/{name:str}/publish")
    async def publish_template(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Publish the draft that was reviewed, over the revision that it was compared with."""
        person, sent = require(request, PUBLISHER.name), await request.form()
        try:
            made = await publish_draft(
                editor.kind,
                name,
                person.account.id,
                editor.mesh,
                version=_number(sent.get("version")) or -1,
                expected=_number(sent.get("revision")),
                needs_review=editor.studio.needs_review,
            )
        except Refused as error:
            return await refused(request, name, error)
        note(request, f"{editor.kind.name}/{name}", revision=str(made.revision))
        await editor.published(made, person.account.id)
        return Redirect(f"{editor.studio.path}/{name}/history?done=published", status_code=303)

    @post("/{name:str}/rebase")
    async def rebase_template_draft(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Let the draft follow the revision in force, though it was begun on an earlier one."""
        person, sent = require(request, MARKETER.name), await request.form()
        edited = await editor.read(name)
        version = _number(sent.get("version")) or -1
        try:
            saved = await save_draft(
                editor.kind,
                name,
                edited.files,
                person.account.id,
                editor.mesh,
                version=version,
                begin=True,
                follows=True,
            )
        except Refused as error:
            return await refused(request, name, error)
        note(request, f"{editor.kind.name}/{name}", draft_version=str(saved))
        return Redirect(f"{editor.studio.path}/{name}/review?done=rebased", status_code=303)

    async def refused(request: Request[Any, Any, Any], name: str, error: Exception) -> Response[Any]:
        status = 404 if isinstance(error, UnknownDocument) else 409 if isinstance(error, Conflict) else 422
        edited = await editor.read(name)
        if edited.draft is None:
            raise NotFoundException(str(error))
        return await show(request, edited, wrong=sentence(error), status=status)

    return [review_template, publish_template, rebase_template_draft]


async def _show_review(
    editor: Editor,
    request: Request[Any, Any, Any],
    edited: Edited,
    *,
    done: str = "",
    wrong: str = "",
    status: int = 200,
) -> Response[bytes]:
    values = {
        "edited": edited,
        "differences": differences(edited.in_force.files if edited.in_force else {}, edited.files),
        "authors": await editor.names(edited),
        "language_name": language_name,
        "may_edit": request.user.may(MARKETER.name),
        "may_publish": request.user.may(PUBLISHER.name),
        "look": await second_look(editor.studio, editor.kind, request, edited.draft, edited.version),
        "done": done,
        "wrong": wrong,
    }
    return editor.studio.show(request, "template_review.html.j2", values, status=status)


def _history(editor: Editor) -> list[HTTPRouteHandler]:
    @get("/{name:str}/history")
    async def show_template_history(
        request: Request[Any, Any, Any],
        name: FromPath[str],
        revision: FromQuery[int | None] = None,
        done: FromQuery[str] = "",
    ) -> Response[bytes]:
        """Every revision; with `revision` what putting that one back would change, else what the last one changed."""
        return await show(request, name, revision=revision, done=PUBLISHED.get(done, ""))

    @post("/{name:str}/revert")
    async def revert_template(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Put an earlier revision's texts in force again."""
        person, sent = require(request, PUBLISHER.name), await request.form()
        chosen = _number(sent.get("revision"))
        try:
            made = await revert(
                editor.kind,
                name,
                -1 if chosen is None else chosen,
                person.account.id,
                editor.mesh,
                expected=_number(sent.get("expected")),
                region=str(sent.get("region", "")),
            )
        except Refused as error:
            status = (
                404 if isinstance(error, UnknownDocument) else 409 if isinstance(error, Superseded | Conflict) else 422
            )
            return await show(request, name, wrong=sentence(error), status=status)
        note(request, f"{editor.kind.name}/{name}", revision=str(made.revision), reverted_to=str(chosen))
        await editor.published(made, person.account.id)
        return Redirect(f"{editor.studio.path}/{name}/history?done=reverted", status_code=303)

    async def show(
        request: Request[Any, Any, Any],
        name: str,
        *,
        revision: int | None = None,
        done: str = "",
        wrong: str = "",
        status: int = 200,
    ) -> Response[bytes]:
        edited = await editor.read(name)
        known = await versions(editor.kind, name, editor.mesh)
        chosen = next((at for at, one in enumerate(known) if one.document.revision == revision), None)
        values = {
            "edited": edited,
            "versions": known,
            "chosen": None if chosen is None else known[chosen].document.revision,
            "differences": _change(known, chosen),
            "authors": await editor.names(edited, *(one.document for one in known)),
            "language_name": language_name,
            "may_publish": request.user.may(PUBLISHER.name),
            "done": done,
            "wrong": wrong,
        }
        return editor.studio.show(request, "template_history.html.j2", values, status=status)

    return [show_template_history, revert_template]


def _change(known: list[Version], chosen: int | None) -> Any:
    """What the chosen revision changed of the one before it."""
    if chosen is None:
        return []
    before = known[chosen + 1].document.files if chosen + 1 < len(known) else {}
    return differences(before, known[chosen].document.files)


def _number(text: Any) -> int | None:
    """A whole number that a form holds; None where the field is empty."""
    return int(text) if isinstance(text, str) and text.isdecimal() else None
