"""Fields: all that an audience may ask about, each declared once."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import available_timezones

from mesh.channels import CHANNELS
from mesh.errors import DeclarationError
from mesh.events.cart import CartLine
from notifications.conditions.operators import OPERATORS, Operator, Type
from notifications.decision_input import DecisionInput


@dataclass(frozen=True, kw_only=True)
class FactField:
    """A field by its `name` in a journey; its part before the dot is its group. `label` is what marketers read.

    `read` finds its value in what is known at a moment (aware UTC); None: not known. `source` says where it comes from
    and when it is known. `unit` stands behind a number. `example` is a value as people write it. `says` are the
    sentences of yes and no. `refused` says what is wrong with a text to compare with; empty: nothing. `personal`: its
    value is never written into a decision, which other regions read.
    """

    name: str
    type: Type
    label: str
    source: str
    read: Callable[[DecisionInput, datetime], Any]
    unit: str = ""
    example: str = ""
    says: tuple[str, str] = ("", "")
    highest: float | None = None
    refused: Callable[[str], str] = lambda _: ""
    personal: bool = False

    @property
    def operators(self) -> dict[str, Operator]:
        """How it may be compared, by the operator's name."""
        return OPERATORS[self.type]


GROUPS = {"cart": "Cart", "shopper": "Shopper", "consent": "Consent", "score": "Score"}
"""What the groups of fields are called."""
_language = re.compile(r"[a-z]{2,3}").fullmatch
_separator = re.compile(r"\s*[./>]\s*")


def categories_of(lines: Iterable[CartLine]) -> tuple[str, ...] | None:
    """The categories that lines name, with those above them: of `furniture.lamp` also `furniture`. None: none named."""
    named = {line.category for line in lines if line.category}
    whole = {category[: cut.start()] for category in named for cut in _separator.finditer(category)} | named
    return tuple(sorted(whole - {""})) or None


def _brands(lines: Iterable[CartLine]) -> tuple[str, ...] | None:
    return tuple(sorted({line.brand for line in lines if line.brand})) or None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 4)


def _no_zone(name: str) -> str:
    zones = available_timezones()
    if name in zones:
        return ""
    near = get_close_matches(name, zones, n=1)
    return f"there is no time zone {name}{f'; did you mean {near[0]}?' if near else ''}"


def _uplift(inputs: DecisionInput) -> float | None:
    """Of the offer that helps most, what it adds to the probability of a purchase."""
    advice = inputs.advice
    if advice is None or not advice.arms:
        return None
    return _percent(max(arm.purchase for arm in advice.arms) - advice.unaided)


def _days(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else round((now - since) / timedelta(days=1), 4)


def _cart_fields() -> Iterable[FactField]:
    yield FactField(
        name="cart.value",
        type=Type.MONEY,
        label="Cart value",
        source="the cart's total; an amount is compared with carts of its own currency alone",
        read=lambda inputs, _: inputs.total,
        example="50 EUR, 55 USD",
    )
    yield FactField(
        name="cart.pieces",
        type=Type.NUMBER,
        label="Pieces in the cart",
        source="the cart's lines",
        read=lambda inputs, _: sum(line.quantity for line in inputs.lines),
        unit="pieces",
        example="3",
    )
    yield FactField(
        name="cart.lines",
        type=Type.NUMBER,
        label="Different products in the cart",
        source="the cart's lines",
        read=lambda inputs, _: len(inputs.lines),
        unit="products",
        example="2",
    )
    yield FactField(
        name="cart.products",
        type=Type.TEXTS,
        label="Products in the cart",
        source="the ids of the cart's lines",
        read=lambda inputs, _: tuple(sorted({line.product_id for line in inputs.lines})),
        example="lamp-1, lamp-2",
    )
    yield FactField(
        name="cart.categories",
        type=Type.TEXTS,
        label="Categories in the cart",
        source="the cart's lines, with the categories above each; not known where no line names one",
        read=lambda inputs, _: categories_of(inputs.lines),
        example="furniture, toys.games",
    )
    yield FactField(
        name="cart.brands",
        type=Type.TEXTS,
        label="Brands in the cart",
        source="the cart's lines; not known where no line names one",
        read=lambda inputs, _: _brands(inputs.lines),
        example="Acme, Lumo",
    )
    yield FactField(
        name="cart.device",
        type=Type.TEXT,
        label="Device",
        source="the cart's newest update, where the page said it",
        read=lambda inputs, _: inputs.device,
        example="mobile, desktop",
    )
    yield FactField(
        name="cart.checkout_started",
        type=Type.YES_NO,
        label="Checkout was begun",
        source="what the page or the shop reported in this region, as long as that is kept (30 days)",
        read=lambda inputs, _: inputs.checkout_started,
        says=("the checkout was begun with this cart", "the checkout was not begun with this cart"),
    )


def _shopper_fields() -> Iterable[FactField]:
    yield FactField(
        name="shopper.customer",
        type=Type.YES_NO,
        label="Is a known customer",
        source="whether a customer id is known of the visitor, in this region",
        read=lambda inputs, _: inputs.customer_known,
        says=("the shopper is a known customer", "the shopper is a visitor without a customer account"),
    )
    yield FactField(
        name="shopper.returning",
        type=Type.YES_NO,
        label="Has bought before",
        source="orders under any name of the shopper, in all regions, as long as events are kept (400 days)",
        read=lambda inputs, _: inputs.last_purchase is not None,
        says=("the shopper has bought before", "the shopper has never bought before"),
    )
    yield FactField(
        name="shopper.days_since_purchase",
        type=Type.NUMBER,
        label="Days since the last purchase",
        source="as above; not known of those who never bought",
        read=lambda inputs, now: _days(inputs.last_purchase, now),
        unit="days",
        example="90",
    )
    yield FactField(
        name="shopper.language",
        type=Type.TEXT,
        label="Language",
        source="the language that the shop reported of the shopper, such as de; not known of visitors who gave none",
        read=lambda inputs, _: inputs.language,
        example="de, fr",
        refused=lambda text: "" if _language(text) else f"{text!r}: write languages as their codes, such as de",
        personal=True,
    )
    yield FactField(
        name="shopper.time_zone",
        type=Type.TEXT,
        label="Time zone",
        source="the zone that the shop reported of the shopper",
        read=lambda inputs, _: inputs.time_zone,
        example="Europe/Vienna, Europe/Zurich",
        refused=_no_zone,
        personal=True,
    )
    yield FactField(
        name="shopper.address",
        type=Type.YES_NO,
        label="E-mail address is known",
        source="what the visitor gave the shop",
        read=lambda inputs, _: inputs.email_known,
        says=("an e-mail address is known", "no e-mail address is known"),
    )
    for channel in map(CHANNELS.require, CHANNELS):
        yield FactField(
            name=f"consent.{channel.name}",
            type=Type.YES_NO,
            label=f"Allowed offers {_by(channel.title)}",
            source="the newest answer of the visitor; not known where nobody asked",
            read=lambda inputs, _, name=channel.name: inputs.consent.get(name),
            says=(
                f"the shopper has allowed offers {_by(channel.title)}",
                f"the shopper has forbidden offers {_by(channel.title)}",
            ),
        )


def _score_fields() -> Iterable[FactField]:
    yield FactField(
        name="score.propensity",
        type=Type.NUMBER,
        label="Probability of buying without an offer",
        source="the score of the cart; not known where it came too late",
        read=lambda inputs, _: _percent(inputs.propensity),
        unit="%",
        example="30",
        highest=100,
    )
    yield FactField(
        name="score.uplift",
        type=Type.NUMBER,
        label="What the best offer adds to it",
        source="the advice with the score: of the offer that helps most; not known until offers were tried at random",
        read=lambda inputs, _: _uplift(inputs),
        unit="percentage points",
        example="5",
        highest=100,
    )


def _by(title: str) -> str:
    return title if title.startswith("on ") else f"by {title}"


FIELDS = {one.name: one for fields in (_cart_fields, _shopper_fields, _score_fields) for one in fields()}
"""Every field by its name."""


def field_of(name: str) -> FactField:
    """A field of this name. DeclarationError names the nearest."""
    if found := FIELDS.get(name):
        return found
    near = get_close_matches(name, FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FIELDS)}"
    raise DeclarationError(f"there is no field {name}; {hint}")


def operator_of(field: FactField, name: str) -> Operator:
    """An operator that the field may be compared by. DeclarationError names the nearest."""
    if found := field.operators.get(name):
        return found
    near = get_close_matches(name, field.operators, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it may be {', '.join(field.operators)}"
    raise DeclarationError(f"{field.name} cannot be {name!r}; {hint}")


def facts_of(inputs: DecisionInput, now: datetime) -> dict[str, Any]:
    """The value of every field at a moment (aware UTC), None where it is not known: what an audience is decided on."""
    return {name: field.read(inputs, now) for name, field in FIELDS.items()}
