"""Preview: the mail of what is typed, and what the checks say about it, while it is typed."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh.web.guard import CHANGES_NOTHING
from mesh.web.headers import security_headers
from notifications.studio.template_pages.block_list import labels
from notifications.studio.template_pages.edited import typed_source
from notifications.studio.template_pages.editor import Editor, locale_of
from notifications.studio.template_pages.previews import Preview

FRAME = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; sandbox; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""The policy of a mail: it shows styles and pictures, and runs, sends and opens nothing."""
NOTHING = "<!doctype html><title>No preview</title><p>There is no mail to show: see what is found.</p>"


def preview_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """What was found, as a part of the page, and the mail itself for a frame."""

    @post("/{name:str}/preview", status_code=200, opt={CHANGES_NOTHING: True})
    async def preview_template(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        edited, sent = await editor.read(name), await request.form()
        locale = locale_of(sent, edited)
        source = typed_source(sent)
        preview = await editor.preview(edited, locale, source, sent)
        values = {"preview": preview, "label": labels(source)}
        return editor.studio.show(request, "template_preview.html.j2", values)

    @get("/{name:str}/frame")
    async def show_stored_mail(
        name: FromPath[str], locale: FromQuery[str], shopper: FromQuery[str] = ""
    ) -> Response[str]:
        """The mail of what is saved, which the page begins with."""
        edited = await editor.read(name)
        sent = {"locale": locale, "shopper": shopper}
        return framed(await editor.preview(edited, locale, edited.source(locale_of(sent, edited)), sent))

    @post("/{name:str}/frame", status_code=200, opt={CHANGES_NOTHING: True})
    async def show_mail(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[str]:
        edited, sent = await editor.read(name), await request.form()
        return framed(await editor.preview(edited, locale_of(sent, edited), typed_source(sent), sent))

    return [preview_template, show_stored_mail, show_mail]


def framed(preview: Preview) -> Response[str]:
    """A mail as a frame shows it."""
    return framed_html(preview.rendered.html if preview.rendered else NOTHING)


def framed_html(html: str) -> Response[str]:
    """The HTML of a mail: it shows styles and pictures, and runs, sends and opens nothing."""
    headers = security_headers(FRAME) | {"Cache-Control": "no-store"}
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)
