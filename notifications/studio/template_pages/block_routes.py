"""Block routes: the list of blocks after a button of it was pressed, before anything is saved."""

from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh.web.guard import CHANGES_NOTHING, require
from mesh.web.roles import MARKETER
from notifications.studio.template_pages.block_list import Row, blocks_shown
from notifications.studio.template_pages.edited import purpose_of, typed_source
from notifications.studio.template_pages.editor import Editor, locale_of


def block_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """The list as a part of the page. The page saves it as what is typed."""

    @post("/{name:str}/blocks", status_code=200, opt={CHANGES_NOTHING: True})
    async def change_blocks(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        require(request, MARKETER.name)
        edited, sent = await editor.read(name), await request.form()
        locale = locale_of(sent, edited)
        kind = purpose_of(edited)
        shown = blocks_shown(typed_source(sent), edited, kind)
        focus, said = _after(str(sent.get("do", "")), shown["blocks"] or [])
        values = {**shown, "edited": edited, "locale": locale, "may_edit": True, "focus": focus, "said": said}
        return editor.studio.show(request, "template_blocks.html.j2", values)

    return [change_blocks]


def _after(do: str, rows: list[Row]) -> tuple[str, str]:
    """The id of what to go on with, and what was done in words."""
    done, _, which = do.partition(" ")
    blocks = [row for row in rows if row.kind not in ("column", "end")]
    if done == "add" and blocks:
        new = max(blocks, key=lambda row: int(row.id[1:]) if len(row.id) < 8 else 0)
        first = f"text-{new.id}.{new.fields[0].name}" if new.fields else f"up-{new.id}"
        return first, f"Added: {new.number}. {new.name}"
    if done in ("up", "down"):
        row = next((row for row in blocks if row.id == which), None)
        return (f"{done}-{which}", f"Moved: now {row.number}. {row.name}") if row else ("add-type", "")
    return ("add-type", "Removed") if done == "remove" else ("", "")
