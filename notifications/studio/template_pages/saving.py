"""Saving: what is typed becomes the draft, unless somebody else saved the same language meanwhile."""

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.errors import DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.documents.document import Superseded
from notifications.documents.drafts import save_draft
from notifications.studio.template_pages.block_list import labels
from notifications.studio.template_pages.differences import FileDifference, differences
from notifications.studio.template_pages.edited import Edited, Source, digest, is_text_name, purpose_of, typed_source
from notifications.studio.template_pages.editor import Editor, locale_of
from notifications.studio.template_pages.labels import language_name, sample_words, sentence
from notifications.templates.front_matter import BLOCK
from notifications.templates.trial import choices

AGAIN = 4
"""How often a draft is saved again that somebody saved at the same moment, in another language."""


class EditConflict(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else saved this language: who, and what differs from theirs to yours. `over` is their text's digest."""

    who: str
    over: str
    differences: list[FileDifference]


def saving_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """What saves the draft."""

    @post("/{name:str}/draft", status_code=200)
    async def save_template_draft(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Save the language of the form. Where its file is not as it was read, nothing is saved and both are shown."""
        person = require(request, MARKETER.name)
        sent = await request.form()
        part, then = "hx-request" in request.headers, str(sent.get("then", ""))
        add = "" if part else str(sent.get("add", "")).strip()  # while it is typed it is not yet a name
        if add and not is_text_name(add):
            edited = await editor.read(name)
            wrong = f"Not saved. “{add}” is no name of a text: write lower-case letters, such as greeting."
            return await _answer(
                editor, request, edited, locale_of(sent, edited), sent, part=part, wrong=wrong, status=422
            )
        typed, known = typed_source(sent, add=add), {str(sent.get("read", "")), str(sent.get("over", ""))}
        for _ in range(AGAIN):
            edited = await editor.read(name)
            locale = locale_of(sent, edited)
            stored = edited.source(locale)
            source = edited.coded(locale, typed) if then == "code" and purpose_of(edited) != BLOCK else typed
            if stored != source and digest(stored) not in known:
                conflict = await _conflict(editor, edited, locale, source)
                return await _answer(editor, request, edited, locale, sent, part=part, conflict=conflict, status=409)
            if stored == source:
                note(request, f"{editor.kind.name}/{name}", language=locale, changed="nothing")
                return await _saved(editor, request, edited, locale, then, part=part)
            files = edited.with_source(locale, source)
            try:
                version = await save_draft(
                    editor.kind, name, files, person.account.id, editor.mesh, version=edited.version
                )
            except Superseded:
                continue  # saved at the same moment: look again whether it is this language
            except DeclarationError as error:
                wrong = f"Not saved. {await _why(editor, edited, locale, source, error)}"
                return await _answer(editor, request, edited, locale, sent, part=part, wrong=wrong, status=422)
            note(request, f"{editor.kind.name}/{name}", draft_version=str(version), language=locale)
            return await _saved(editor, request, await editor.read(name), locale, then, part=part)
        raise Superseded(f"template {name} is being saved by others all the time: try again")

    return [save_template_draft]


async def _why(editor: Editor, edited: Edited, locale: str, source: Source, error: DeclarationError) -> str:
    """What is wrong with a template, by the names that the form has for its texts, and with which sample."""
    files, kind = edited.with_source(locale, source), purpose_of(edited)
    for choice in choices(kind):
        preview = await editor.previews.preview(edited.name, files, locale=locale, shopper=locale, choice=choice)
        if preview.rendered is None:
            found = preview.findings[0]
            line = f", line {found.line}" if found.line else ""
            named = labels(source)
            place = "" if found.text == "mail" else f"{'Body' if found.text == 'body' else named(found.text)}{line}: "
            sample = sample_words(choice)
            return f"{place}{found.words}{f' (in the mail {sample})' if sample else ''}"
    return sentence(error)


async def _conflict(editor: Editor, edited: Edited, locale: str, source: Source) -> EditConflict:
    theirs = edited.source(locale)
    names = await editor.names(edited)
    last = edited.draft or edited.in_force
    return EditConflict(
        who=names.get(last.author, last.author) if last else "somebody",
        over=digest(theirs),
        differences=differences(theirs.files(locale), source.files(locale)),
    )


async def _saved(
    editor: Editor, request: Request[Any, Any, Any], edited: Edited, locale: str, then: str, *, part: bool
) -> Response[Any]:
    if not part:
        done = "coded" if then == "code" else "saved"
        where = "/review" if then == "review" else f"?locale={locale}&done={done}"
        return Redirect(f"{editor.studio.path}/{edited.name}{where}", status_code=303)
    values = {
        **_part(edited, locale),
        "read": digest(edited.source(locale)),
        "saved": True,
        "wrong": "",
        "conflict": None,
    }
    return editor.studio.show(request, "template_saved.html.j2", values)


async def _answer(
    editor: Editor,
    request: Request[Any, Any, Any],
    edited: Edited,
    locale: str,
    sent: Any,
    *,
    part: bool,
    status: int,
    wrong: str = "",
    conflict: EditConflict | None = None,
) -> Response[Any]:
    if not part:
        return await editor.show(request, edited, locale, sent=sent, wrong=wrong, conflict=conflict, status=status)
    read = str(sent.get("read", ""))
    values = {**_part(edited, locale), "read": read, "saved": False, "wrong": wrong, "conflict": conflict}
    return editor.studio.show(request, "template_saved.html.j2", values, status=status)


def _part(edited: Edited, locale: str) -> dict[str, Any]:
    """What the part of the page needs that says whether it is saved."""
    return {"edited": edited, "locale": locale, "language_name": language_name, "may_edit": True}
