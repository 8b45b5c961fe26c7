"""Template vocabulary: the names that a template may use, by what it is for, in the words of those who write it."""

from collections.abc import Iterator
from difflib import get_close_matches

import msgspec
from babel import Locale

from notifications.template_filters import filters
from notifications.templates.front_matter import BLOCK, CONFIRMATION, OFFER, ORDER

JINJA = ("default", "first", "join", "last", "length", "lower", "replace", "round", "title", "trim", "upper")
"""Filters of Jinja itself that mails use; the others work too."""


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A name, what it is, and what to write for it."""

    name: str
    words: str
    insert: str


def _variable(name: str, words: str, use: str = "") -> Variable:
    return Variable(name=name, words=words, insert=f"{{{{ {name}{f' | {use}' if use else ''} }}}}")


_SHOP = (
    _variable("shop.name", "The shop's name"),
    _variable("shop.url", "The shop's address on the web"),
    _variable("shop.address", "The shop's postal address; may be empty"),
    _variable("language", "The language of the mail, such as de"),
)
_LINE = (
    _variable("line.name", "The product's name; may be missing, so better: line | label", "label"),
    _variable("line.quantity", "How many of it"),
    _variable("line.price", "The price of one", "money"),
    _variable("line.sum", "The price of all of this line", "money"),
    _variable("line.url", "The product's page"),
    _variable("line.image", "The address of its picture; may be missing"),
    _variable("line.category", "Its category; may be missing"),
    _variable("line.brand", "Its brand; may be missing"),
    _variable("line.product_id", "Its number in the catalogue"),
)
_LINES = Variable(
    name="lines",
    words="The lines of the cart or order",
    insert="{% for line in lines %}{{ line | label }}{% endfor %}",
)
_ZONE = _variable("time_zone", "The shopper's time zone; may be missing")
_COUNTED = (
    _variable("line_count", "How many lines there are"),
    _variable("more_lines", "How many lines of them the mail does not show"),
)
_CUSTOMER = Variable(
    name="customer.name",
    words="The shopper's name; may be missing",
    insert="{% if customer.name %}{{ customer.name }}{% endif %}",
)
VARIABLES: dict[str, tuple[Variable, ...]] = {
    OFFER: (
        _CUSTOMER,
        Variable(name="coupon", words="The code; missing without one", insert="{% if coupon %}{{ coupon }}{% endif %}"),
        _variable("discount_percent", "The discount; 0 without one, and for a fixed amount", "percent"),
        Variable(
            name="discount_kind",
            words="What a code brings: percentage, amount, gift or free_shipping",
            insert="{% if discount_kind == 'gift' %}a gift{% endif %}",
        ),
        Variable(
            name="discount_amount",
            words="The discount, where it is a fixed amount",
            insert="{% if discount_amount %}{{ discount_amount | money }}{% endif %}",
        ),
        _variable("total", "What the cart costs", "money"),
        Variable(
            name="reduced",
            words="What it costs with the code; missing without one",
            insert="{% if reduced %}{{ reduced | money }}{% endif %}",
        ),
        Variable(
            name="count",
            words="How many things are in the cart",
            insert="{{ count | plural(one='# item', other='# items') }}",
        ),
        _variable("left_at", "The day on which the cart was left", "day"),
        _variable("cart_url", "The link back to the cart"),
        _variable("unsubscribe_url", "The link to unsubscribe, which every offer needs"),
        _variable("preferences_url", "The link to the page where shoppers choose what they get"),
        _LINES,
        *_LINE,
        Variable(
            name="line.price_before",
            words="What one cost before, at the lowest of 30 days, where it costs less now; missing otherwise",
            insert="{% if line.price_before %}{{ line.price_before | money }}{% endif %}",
        ),
        Variable(
            name="trigger",
            words="What started the journey: cart abandoned, browse abandoned, price dropped, back in stock or "
            "no order since; the last one has no lines",
            insert="{% if trigger == 'price dropped' %}It costs less now.{% endif %}",
        ),
        Variable(
            name="recommended",
            words="Products that go well with the cart",
            insert="{% for line in recommended %}{{ line | label }}{% endfor %}",
        ),
        _variable("line.kind", "Why a product is recommended: together, next, seen, category, popular"),
        _variable("line.with_product", "The product that it goes with; may be missing"),
        _variable("line.shoppers", "How many shoppers looked at both; may be missing"),
        _variable("line.reason", "The reason in English"),
        *_COUNTED,
        _ZONE,
        *_SHOP,
    ),
    ORDER: (
        _CUSTOMER,
        _variable("order.number", "The order's number"),
        _variable("order.id", "The order's id in the mesh"),
        _variable("order.url", "The order's page in the shop; may be missing"),
        _variable("total", "What the lines cost", "money"),
        Variable(
            name="refund",
            words="What is paid back; may be missing",
            insert="{% if refund %}{{ refund | money }}{% endif %}",
        ),
        _variable("cause", "Why it was cancelled: customer, shop, payment or sold_out"),
        _variable("partial", "Whether a part of the order remains"),
        _variable("carrier", "Who brings the parcel; may be missing"),
        _variable("tracking", "The number of the parcel; may be missing"),
        _variable("tracking_url", "The carrier's page of the parcel; may be missing"),
        _LINES,
        *_LINE,
        _variable("recommended", "Empty in mails about orders"),
        *_COUNTED,
        _ZONE,
        *_SHOP,
    ),
    CONFIRMATION: (
        _variable("confirm_url", "The link with which the address is confirmed"),
        _variable("lines", "Empty in this mail"),
        _variable("recommended", "Empty in this mail"),
        *_COUNTED,
        *_SHOP,
    ),
}
VARIABLES[BLOCK] = VARIABLES[OFFER]
"""What there is, by the `kind` of the template. A test compares it with what templates are given."""


def completions(kind: str) -> list[dict[str, str]]:
    """What may be written into a template of a kind, each with what it is; a filter has nothing but its name."""
    variables = [{"name": one.name, "words": one.words, "insert": one.insert} for one in VARIABLES[kind]]
    known = own_filters() | dict.fromkeys(JINJA, "a filter of Jinja")
    return variables + [{"name": name, "words": words, "insert": ""} for name, words in known.items()]


def own_filters() -> dict[str, str]:
    """The filters that Cartmesh adds, by name, each in a sentence."""
    return {name: (made.__doc__ or "").partition("\n")[0] for name, made in filters(Locale("en"), None).items()}


def nearest_variable(name: str, kind: str) -> str | None:
    """The variable that somebody meant who wrote this name: a whole one, or the part of one."""
    return _nearest(name, {part for one in VARIABLES[kind] for part in _parts(one.name)})


def nearest_filter(name: str) -> str | None:
    """The filter that somebody meant who wrote this name."""
    return _nearest(name, {*own_filters(), *JINJA})


def _parts(name: str) -> Iterator[str]:
    yield name
    yield from name.split(".")


def _nearest(name: str, known: set[str]) -> str | None:
    return next(iter(get_close_matches(name, sorted(known - {name}), n=1)), None)
