"""Languages: one is added to the draft as a copy of another, or taken out of it."""

from typing import Any

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
from notifications.studio.template_pages.edited import Edited
from notifications.studio.template_pages.editor import Editor, is_locale, locale_of
from notifications.studio.template_pages.labels import sentence


def language_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """Add and remove."""

    @post("/{name:str}/languages")
    async def add_template_language(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Add a language, its texts those of the one that is shown."""
        require(request, MARKETER.name)
        edited, sent = await editor.read(name), await request.form()
        shown, added = locale_of(sent, edited), str(sent.get("added", "")).strip().replace("_", "-")
        wrong = ""
        if not is_locale(added):
            wrong = f"“{added}” is no language: write a code such as fr, pt-BR or de-AT."
        elif added in edited.locales:
            wrong = f"The template has texts in {added} already."
        if wrong:
            return await editor.show(request, edited, shown, wrong=wrong, status=422)
        return await store(request, edited, edited.with_source(added, edited.source(shown)), added, shown, "added")

    @post("/{name:str}/languages/remove")
    async def remove_template_language(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Take the language that is shown out of the draft."""
        require(request, MARKETER.name)
        edited, sent = await editor.read(name), await request.form()
        shown = locale_of(sent, edited)
        if len(edited.locales) == 1:
            wrong = "This is the only language: a template needs one."
            return await editor.show(request, edited, shown, wrong=wrong, status=422)
        files = {file: text for file, text in edited.files.items() if file not in edited.source(shown).files(shown)}
        stays = next(one for one in edited.locales if one != shown)
        return await store(request, edited, files, stays, shown, "removed")

    async def store(
        request: Request[Any, Any, Any], edited: Edited, files: dict[str, str], after: str, shown: str, done: str
    ) -> Response[Any]:
        author = require(request, MARKETER.name).account.id
        try:
            version = await save_draft(editor.kind, edited.name, files, author, editor.mesh, version=edited.version)
        except (DeclarationError, Superseded) as error:
            status = 409 if isinstance(error, Superseded) else 422
            latest = await editor.read(edited.name)
            return await editor.show(request, latest, shown, wrong=sentence(error), status=status)
        language = after if done == "added" else shown
        note(request, f"{editor.kind.name}/{edited.name}", draft_version=str(version), language=language)
        where = f"{editor.studio.path}/{edited.name}?locale={after}&done={done}"
        return Redirect(where, status_code=303)

    return [add_template_language, remove_template_language]
