"""Person routes: the mail of what is typed as the shopper of a real cart would get it, for whoever may see that."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import ADMIN
from notifications.channels.shown_mail import MailShown
from notifications.channels.tried_mail import MailTried
from notifications.studio.template_pages.edited import typed_source
from notifications.studio.template_pages.editor import Editor, locale_of
from notifications.studio.template_pages.preview import framed_html
from notifications.studio.template_pages.previews import choice_of

PATIENCE = timedelta(seconds=10)
"""How long a mail may take that the service `channels` renders."""


def person_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """The mail with a shopper's name."""

    @post("/{name:str}/shopper", status_code=200)
    async def try_mail_on_shopper(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[str]:
        """The form's mail for a real cart, with its shopper's name and in their language. It is put on record."""
        require(request, ADMIN.name)
        edited, sent = await editor.read(name), await request.form()
        cart_id, files = str(sent.get("cart", "")), edited.with_source(locale_of(sent, edited), typed_source(sent))
        if not cart_id:
            raise HTTPException("choose a cart that was left: a sample has no shopper", status_code=422)
        asked = MailTried(cart_id=cart_id, name=name, files=dict(files), choice=choice_of(sent))
        shown = await editor.mesh.ask("channels", "try-mail", asked, MailShown, within=PATIENCE)
        if shown.why:
            raise HTTPException(shown.why, status_code=409)
        note(request, f"{editor.kind.name}/{name}", cart=cart_id)
        return framed_html(shown.html)

    return [try_mail_on_shopper]
