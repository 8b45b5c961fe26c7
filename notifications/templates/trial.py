"""Trial: a template is rendered with samples of what it is for before it may be published."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Literal, get_args

import msgspec

from mesh.errors import DeclarationError
from mesh.events.offer import OfferDecided
from mesh.money import Money
from mesh.settings import read
from notifications.journeys.triggers import NO_ORDER_SINCE, PRICE_DROPPED
from notifications.order_variables import order_variables
from notifications.real_cart import RealCart
from notifications.render_pool import RenderPool, TemplateError
from notifications.sample import sample, sample_order
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import Shop, confirmation_variables, sum_of, template_variables
from notifications.templates.front_matter import CONFIRMATION, OFFER, ORDER, front_matter
from notifications.templates.template import SUFFIX, Template

UNSUBSCRIBE, CONFIRM = "http://127.0.0.1:8081/unsubscribe/sample", "http://127.0.0.1:8081/confirm/sample"
PREFERENCES = "http://127.0.0.1:8081/preferences/sample"
SHORT_LINKS = {
    "cart_url": "https://links.shop.example/s/Qx7bT2cRt0k1",
    "unsubscribe_url": "https://links.shop.example/s/Lm4cV9oSp2e8",
    "preferences_url": "https://links.shop.example/s/Zp8dW3eNi6m4",
}
"""Short links as text messages have them; a shop's own may be a little shorter or longer."""
SHORT_ORDER, SHORT_TRACKING = "https://links.shop.example/s/Ka1dT7nFe3b2", "https://links.shop.example/s/Vu9gP4sRo8c5"
TRACKING = "https://carrier.example/JD0146"


MANY = 30
"""Lines of a cart that is larger than a mail shows."""
Lines = Literal["none", "one", "dropped", "two", "many"]
Cause = Literal["none", "customer", "shop", "payment", "sold_out"]


class SampleChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which sample: of an offer with or without coupon, recommendations and name; of an order, why it was cancelled.

    `lines` is how many there are; `dropped`: one whose price fell, `none`: an offer to who has not ordered for long.
    """

    coupon: bool = True
    recommended: bool = True
    named: bool = True
    lines: Lines = "two"
    cause: Cause = "customer"


async def render_samples(template: Template, pool: RenderPool) -> None:
    """Render it in each of its locales with every sample: see `SampleChoice`.

    Raises DeclarationError with file, line and what to do.
    """
    for locale in template.locales:
        for choice in choices(kind_of(template)):
            try:
                await pool.render(template, locale, chosen_variables(template, locale, choice))
            except TemplateError as error:
                raise DeclarationError(str(error)) from None


def sample_variables(
    template: Template, offer: tuple[OfferDecided, ShopperProfile], *, left_at: datetime | None = None
) -> dict[str, Any]:
    """What a template is given for a sample: of the offer, an order, or the mail that asks an address to confirm."""
    if kind_of(template) == CONFIRMATION:
        return confirmation_variables(read(Shop), CONFIRM)
    if kind_of(template) == ORDER:
        order, refund = sample_order(offer), Money(amount=1650, currency=offer[0].lines[0].price.currency)
        more = {"carrier": "DHL", "tracking": "JD0146", "tracking_url": TRACKING, "cause": "customer", "partial": True}
        return order_variables(order, read(Shop), lines=order.lines, name=offer[1].name, refund=refund, **more)
    decided, profile = offer
    left_at = left_at or decided.due - timedelta(minutes=30)
    return template_variables(
        decided, profile, read(Shop), left_at=left_at, unsubscribe_url=UNSUBSCRIBE, preferences_url=PREFERENCES
    )


def chosen_variables(
    template: Template,
    locale: str,
    choice: SampleChoice,
    cart: RealCart | None = None,
    shopper: ShopperProfile | None = None,
    percent: int | None = None,
) -> dict[str, Any]:
    """What a template is given for the sample that was chosen; a real `cart`, `shopper` and discount in its place."""
    decided, profile = sample(locale)
    profile = profile if shopper is None else shopper
    count = {"none": 0, "one": 1, "dropped": 1, "two": 2, "many": MANY}[choice.lines]
    if count or kind_of(template) == OFFER:
        lines = tuple(decided.lines[n % len(decided.lines)] for n in range(count))
        decided = msgspec.structs.replace(decided, lines=lines, total=sum_of(lines) if lines else decided.total)
    if cart is not None:
        decided = cart.in_place_of(decided)
    if percent is not None:
        decided = msgspec.structs.replace(decided, discount_percent=percent)
    if choice.lines == "none":
        decided = msgspec.structs.replace(decided, trigger=NO_ORDER_SINCE)
    elif choice.lines == "dropped":
        before = {one.product_id: one.price * 2 for one in decided.lines}
        decided = msgspec.structs.replace(decided, trigger=PRICE_DROPPED, prices_before=before)
    if not choice.coupon:
        decided = msgspec.structs.replace(decided, coupon=None, discount_percent=0)
    if not choice.recommended:
        decided = msgspec.structs.replace(decided, recommended=())
    if not choice.named and shopper is None:
        profile = msgspec.structs.replace(profile, name=None)
    if kind_of(template) == ORDER and choice.cause != "customer":
        order = sample_order((decided, profile))
        cause = None if choice.cause == "none" else choice.cause
        return order_variables(order, read(Shop), lines=order.lines, cause=cause, name=profile.name)
    return sample_variables(template, (decided, profile), left_at=cart.left_at if cart else None)


def with_short_links(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables with the links that a text message has, of an offer or of an order."""
    short: dict[str, Any] = dict(SHORT_LINKS)
    if order := variables.get("order"):
        short = {"order": {**order, "url": SHORT_ORDER}, "tracking_url": variables["tracking_url"] and SHORT_TRACKING}
    return variables | {"short_links": short}


def choices(kind: str) -> Iterator[SampleChoice]:
    """Every sample that a template of a kind must be rendered with."""
    if kind == CONFIRMATION:
        yield SampleChoice()
    elif kind == ORDER:
        for cause in get_args(Cause):
            yield SampleChoice(cause=cause, named=cause == "customer")
        yield SampleChoice(lines="many")
    else:
        for coupon, recommended, named in product((True, False), repeat=3):
            yield SampleChoice(coupon=coupon, recommended=recommended, named=named)
        yield SampleChoice(lines="one")
        yield SampleChoice(lines="dropped")
        yield SampleChoice(lines="many")


def kind_of(template: Template) -> str:
    """What its mails are for, as its first locale has it."""
    file = f"{template.locales[0]}{SUFFIX}"
    return front_matter(dict(template.files)[file], f"{template.name}/{file}")["kind"]
