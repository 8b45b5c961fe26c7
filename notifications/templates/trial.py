"""Trial: a template is rendered with samples of what it is for before it may be published."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import msgspec

from mesh.errors import DeclarationError
from mesh.events.offer import OfferDecided
from mesh.money import Money
from mesh.settings import read
from notifications.order_variables import order_variables
from notifications.render_pool import RenderPool, TemplateError
from notifications.sample import sample, sample_order
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import Shop, confirmation_variables, template_variables
from notifications.templates.front_matter import CONFIRMATION, ORDER, front_matter
from notifications.templates.template import SUFFIX, Template

UNSUBSCRIBE, CONFIRM = "http://127.0.0.1:8081/unsubscribe/sample", "http://127.0.0.1:8081/confirm/sample"
TRACKING = "https://carrier.example/JD0146"


async def render_samples(template: Template, pool: RenderPool) -> None:
    """Render it in each of its locales; an offer with and without coupon, recommendations and the shopper's name.

    Raises DeclarationError with file, line and what to do.
    """
    for locale in template.locales:
        for data in _samples(template, locale):
            try:
                await pool.render(template, locale, data)
            except TemplateError as error:
                raise DeclarationError(str(error)) from None


def sample_variables(template: Template, offer: tuple[OfferDecided, ShopperProfile]) -> dict[str, Any]:
    """What a template is given for a sample: of the offer, an order, or the mail that asks an address to confirm."""
    if _kind_of(template) == CONFIRMATION:
        return confirmation_variables(read(Shop), CONFIRM)
    if _kind_of(template) == ORDER:
        order, refund = sample_order(offer), Money(amount=1650, currency=offer[0].lines[0].price.currency)
        more = {"carrier": "DHL", "tracking": "JD0146", "tracking_url": TRACKING, "cause": "customer", "partial": True}
        return order_variables(order, read(Shop), lines=order.lines, name=offer[1].name, refund=refund, **more)
    decided, profile = offer
    left_at = decided.due - timedelta(minutes=30)
    return template_variables(decided, profile, read(Shop), left_at=left_at, unsubscribe_url=UNSUBSCRIBE)


def _samples(template: Template, locale: str) -> Iterator[dict[str, Any]]:
    if _kind_of(template) == CONFIRMATION:
        yield sample_variables(template, sample(locale))
        return
    if _kind_of(template) == ORDER:
        order = sample_order(sample(locale))
        for cause in (None, "customer", "shop", "payment", "sold_out"):
            yield order_variables(order, read(Shop), lines=order.lines, cause=cause)
        yield sample_variables(template, sample(locale))
        return
    for coupon, recommended, named in product((True, False), repeat=3):
        decided, profile = sample(locale)
        if not coupon:
            decided = msgspec.structs.replace(decided, coupon=None, discount_percent=0)
        if not recommended:
            decided = msgspec.structs.replace(decided, recommended=())
        if not named:
            profile = msgspec.structs.replace(profile, name=None)
        yield sample_variables(template, (decided, profile))


def _kind_of(template: Template) -> str:
    """What its mails are for, as its first locale has it."""
    file = f"{template.locales[0]}{SUFFIX}"
    return front_matter(dict(template.files)[file], f"{template.name}/{file}")["kind"]
