"""Catalogue: what the shop sells, in its three languages and currencies."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from mesh.money import Money

FILE = Path(__file__).parent / "catalogue.toml"
LANGUAGES = ("en", "de", "ja")
CURRENCIES = {"en": "USD", "de": "EUR", "ja": "JPY"}
"""The currency that goes with a language, unless the shopper chose another."""
CATEGORIES = ("green", "black", "herbal", "cups", "pots", "tools")

Category = Literal["green", "black", "herbal", "cups", "pots", "tools"]
InWords = dict[Literal["en", "de", "ja"], str]


class Picture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a product is drawn: its form, three colours (body, second, third), a pattern, and its size (1: as drawn)."""

    form: str
    colours: tuple[str, str, str]
    pattern: str
    size: float = 1.0


class Brew(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tea is made: so much of it in so much water, this hot, for so long."""

    grams: int
    millilitres: int
    celsius: int
    seconds: int


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product that can be bought. Variants of one product share their `group`; `variant` is what differs.

    `price` is per currency in minor units; `holds` in millilitres. `stock` is with how many pieces each region begins.
    """

    product_id: str
    category: Category
    brand: str
    group: str
    price: dict[Literal["EUR", "USD", "JPY"], int]
    name: InWords
    text: InWords
    picture: Picture
    variant: InWords | None = None
    brew: Brew | None = None
    holds: int | None = None
    stock: int = 60


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    products: tuple[Product, ...]


@cache
def products() -> tuple[Product, ...]:
    """The whole range, in the order of the object stores; read once."""
    return msgspec.convert(tomllib.loads(FILE.read_text(encoding="utf-8")), _Catalogue).products


@cache
def _by_id() -> dict[str, Product]:
    return {product.product_id: product for product in products()}


def find(product_id: str) -> Product | None:
    """The product of this id, or None."""
    return _by_id().get(product_id)


def in_category(category: str) -> tuple[Product, ...]:
    """The products of a category."""
    return tuple(product for product in products() if product.category == category)


def variants(product: Product) -> tuple[Product, ...]:
    """The product and its variants; only itself where it has none."""
    return tuple(one for one in products() if one.group == product.group)


def money(product: Product, currency: str) -> Money:
    """What one piece costs; KeyError for a currency that the shop does not take."""
    return Money(amount=product.price[currency], currency=currency)  # type: ignore[index]
