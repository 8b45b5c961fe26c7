"""Tried mail: a template that is edited or rehearsed, rendered for a real cart and what is known of its shopper."""

import msgspec

from mesh import Mesh
from notifications.channels.offer_renderer import OfferRenderer
from notifications.channels.shown_mail import MailShown
from notifications.real_cart import read_real_cart
from notifications.render_pool import TemplateError
from notifications.shopper_profile import ShopperProfile, shopper_of
from notifications.templates.template import template_of
from notifications.templates.trial import SampleChoice


class MailTried(msgspec.Struct, frozen=True, kw_only=True):
    """A template, by its files, is to be shown as the shopper of this cart would get it.

    Whoever asks has checked who it is for, and put it on record where it is `named`. Without, all that is looked at of
    the shopper is their language. With `percent` the offer takes off so much.
    """

    cart_id: str
    name: str
    files: dict[str, str]
    choice: SampleChoice
    named: bool = True
    percent: int | None = None


async def tried_mail(asked: MailTried, mesh: Mesh, renderer: OfferRenderer) -> MailShown:
    """The mail in the shopper's language, with their name where it is asked for, as they are known in this region.

    Raises Unavailable.
    """
    cart = await read_real_cart(mesh, asked.cart_id)
    if cart is None:
        return MailShown(why="no such cart was left, as far as is known here")
    if cart.region != mesh.region:
        return MailShown(why=f"what is known of the shopper is in the region {cart.region}")
    profile, _ = await shopper_of(cart.visitor_id, mesh)
    if not asked.named:
        profile = ShopperProfile(locale=profile.locale)
    template = template_of(asked.name, asked.files)
    try:
        return MailShown(html=(await renderer.tried(template, cart, asked.choice, profile, asked.percent)).html)
    except TemplateError as error:
        return MailShown(why=str(error))
