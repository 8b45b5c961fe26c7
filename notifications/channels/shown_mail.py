"""Shown mail: a mail that was sent, rendered again with what is known of its shopper, for whoever may see that."""

import msgspec

from mesh import Mesh
from notifications.channels.offer_renderer import OfferRenderer
from notifications.render_pool import TemplateError
from notifications.sent_mail import read_sent_mail
from notifications.shopper_profile import shopper_of


class MailAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The mail of this offer is to be shown. Whoever asks has checked who it is for, and put it on record."""

    cart_id: str
    offer_id: str


class MailShown(msgspec.Struct, frozen=True, kw_only=True):
    """The mail as HTML; where there is none, `why` says what is missing."""

    html: str = ""
    why: str = ""


async def shown_mail(asked: MailAsked, mesh: Mesh, renderer: OfferRenderer) -> MailShown:
    """The mail with the shopper's name, in their language, as they are known in this region. Raises Unavailable."""
    mail = await read_sent_mail(mesh, asked.cart_id, asked.offer_id)
    if mail is None or mail.template is None:
        return MailShown(why="no such mail was sent, or its template's revision is not known here")
    if mail.region != mesh.region:
        return MailShown(why=f"what is known of the shopper is in the region {mail.region}")
    profile, _ = await shopper_of(mail.offered.visitor_id, mesh)
    try:
        return MailShown(html=(await renderer.rendered_again(mail, profile)).html)
    except TemplateError as error:
        return MailShown(why=str(error))
