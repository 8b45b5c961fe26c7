"""Discarding: a draft is ended, and opened again where that was a mistake."""

from typing import Any

from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh.errors import Conflict, InvalidKey
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.documents.document import UnknownDocument
from notifications.documents.drafts import discard_draft, read_draft, restore_draft
from notifications.studio.template_pages.editor import Editor
from notifications.studio.template_pages.labels import sentence


def discarding_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """What ends a draft, and undoes that."""

    @post("/{name:str}/discard")
    async def discard_template_draft(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """End the draft that was looked at."""
        require(request, MARKETER.name)
        sent = await request.form()
        edited, version = await editor.read(name), str(sent.get("version", ""))
        try:
            await discard_draft(editor.kind, name, editor.mesh, version=int(version) if version.isdecimal() else -1)
        except (Conflict, UnknownDocument) as error:
            return await editor.show(
                request, await editor.read(name), edited.locales[0], wrong=sentence(error), status=409
            )
        note(request, f"{editor.kind.name}/{name}")
        _, closed = await read_draft(editor.kind, name, editor.mesh)
        return Redirect(f"{editor.studio.path}?discarded={name}&version={closed}", status_code=303)

    @post("/{name:str}/restore")
    async def restore_template_draft(request: Request[Any, Any, Any], name: FromPath[str]) -> Redirect:
        """Open the draft again that was discarded last."""
        author, sent = require(request, MARKETER.name).account.id, await request.form()
        version = str(sent.get("version", ""))
        try:
            opened = await restore_draft(
                editor.kind, name, author, editor.mesh, version=int(version) if version.isdecimal() else -1
            )
        except (Conflict, UnknownDocument, InvalidKey) as error:
            raise HTTPException(str(error), status_code=409 if isinstance(error, Conflict) else 404) from None
        note(request, f"{editor.kind.name}/{name}", draft_version=str(opened))
        return Redirect(f"{editor.studio.path}/{name}?done=restored", status_code=303)

    return [discard_template_draft, restore_template_draft]
