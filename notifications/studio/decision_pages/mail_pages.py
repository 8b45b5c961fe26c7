"""Mail pages: the mail or text message of an offer as it was sent; with what it said of the shopper only by role."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh.channels import EMAIL
from mesh.settings import read
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.headers import STRICT, security_headers
from mesh.web.roles import ADMIN, MARKETER
from notifications.channels.shown_mail import MailAsked, MailShown
from notifications.render_pool import Rendered, RenderPool, TemplateError
from notifications.sent_mail import SentMail, read_sent_mail
from notifications.shopper_profile import ShopperProfile
from notifications.studio.studio import Studio
from notifications.studio.template_pages.labels import language_name
from notifications.studio.template_pages.preview import FRAME
from notifications.template_variables import Shop

POLICY = f"{STRICT}; frame-src 'self'"
NOBODY = ShopperProfile()
PATIENCE = timedelta(seconds=10)
"""How long a mail may take that the service `channels` renders."""
PageRequest = Request[Any, Any, Any]


def mail_routes(studio: Studio, pool: RenderPool) -> list[HTTPRouteHandler]:
    """The page, the mail in its frame, and the mail as its shopper got it."""

    @get("/{cart_id:str}/mail/{offer_id:str}")
    async def show_sent_mail(
        request: PageRequest,
        cart_id: FromPath[str],
        offer_id: FromPath[str],
        language: FromQuery[str] = "",
        channel: FromQuery[str] = EMAIL.name,
    ) -> Response[bytes]:
        """What was sent, with a stranger's name and in a language that is chosen, and what may differ."""
        require(request, MARKETER.name)
        mail = await _found(studio, cart_id, offer_id, channel)
        locale = _locale(mail, language)
        rendered, wrong = None, ""
        try:
            rendered = await mail.rendered(pool, read(Shop), locale, NOBODY) if mail.template else None
        except TemplateError as error:
            wrong = str(error)
        values = {
            "cart_id": cart_id,
            "offer_id": offer_id,
            "mail": mail,
            "languages": [(one, language_name(one)) for one in (mail.template.locales if mail.template else ())],
            "locale": locale,
            "rendered": rendered,
            "wrong": wrong,
            "may_read": request.user.may(ADMIN.name),
            "elsewhere": mail.region != studio.mesh.region,
        }
        response = studio.show(request, "decision_mail.html.j2", values)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @get("/{cart_id:str}/mail/{offer_id:str}/frame")
    async def show_sent_mail_frame(
        request: PageRequest, cart_id: FromPath[str], offer_id: FromPath[str], language: FromQuery[str] = ""
    ) -> Response[str]:
        require(request, MARKETER.name)
        mail = await _found(studio, cart_id, offer_id)
        return _framed((await _rendered(mail, pool, _locale(mail, language))).html)

    @post("/{cart_id:str}/mail/{offer_id:str}/shopper", status_code=200)
    async def show_mail_of_shopper(
        request: PageRequest, cart_id: FromPath[str], offer_id: FromPath[str]
    ) -> Response[str]:
        """The mail with the shopper's name and in their language. Looking at it is put on record."""
        require(request, ADMIN.name)
        asked = MailAsked(cart_id=cart_id, offer_id=offer_id)
        shown = await studio.mesh.ask("channels", "show-mail", asked, MailShown, within=PATIENCE)
        if shown.why:
            raise HTTPException(shown.why, status_code=409)
        note(request, f"offer/{offer_id}")
        return _framed(shown.html)

    return [show_sent_mail, show_sent_mail_frame, show_mail_of_shopper]


async def _found(studio: Studio, cart_id: str, offer_id: str, channel: str = EMAIL.name) -> SentMail:
    mail = await read_sent_mail(studio.mesh, cart_id, offer_id, channel)
    if mail is None:
        raise NotFoundException("no mail was sent for this offer, as far as is known here")
    return mail


async def _rendered(mail: SentMail, pool: RenderPool, locale: str) -> Rendered:
    if mail.template is None:
        raise NotFoundException("the template's revision is not known here")
    try:
        return await mail.rendered(pool, read(Shop), locale, NOBODY)
    except TemplateError as error:
        raise HTTPException(str(error), status_code=422) from None


def _locale(mail: SentMail, asked: str) -> str:
    """The language that was asked for, where the template has it; else English, or its first one."""
    there = mail.template.locales if mail.template else ()
    return next((one for one in (asked, "en") if one in there), there[0] if there else "")


def _framed(html: str) -> Response[str]:
    headers = security_headers(FRAME) | {"Cache-Control": "no-store"}
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)
