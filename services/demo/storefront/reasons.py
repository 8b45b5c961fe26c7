"""Reasons: why a product is recommended, in the words of the page's language."""

from functools import cache

from mesh.events.user import Recommendation
from services.demo.storefront.catalogue import Product, products

WORDS = {
    "en": {
        "together": "{count} shoppers viewed it together with {other}",
        "together by one": "a shopper viewed it together with {other}",
        "next": "often viewed after {other}",
        "next by itself": "often viewed next",
        "seen": "you looked at it before",
        "category": "popular of its kind",
        "popular": "popular in the shop",
    },
    "de": {
        "together": "{count} Personen haben es zusammen mit {other} angesehen",
        "together by one": "jemand hat es zusammen mit {other} angesehen",
        "next": "oft nach {other} angesehen",
        "next by itself": "oft als Nächstes angesehen",
        "seen": "von Ihnen schon angesehen",
        "category": "beliebt in seiner Art",
        "popular": "beliebt in diesem Laden",
    },
    "ja": {
        "together": "{count}人が「{other}」と一緒に見ています",
        "together by one": "「{other}」と一緒に見た人がいます",
        "next": "「{other}」の次によく見られています",
        "next by itself": "次によく見られています",
        "seen": "以前ご覧になった商品です",
        "category": "同じ種類で人気です",
        "popular": "当店で人気です",
    },
}


def reason(one: Recommendation, language: str) -> str:
    """Why, in this language; in English, as scoring wrote it, where it has no structure to translate."""
    other = _other(one, language)
    kind: str | None = one.kind
    if kind in ("together", "next") and other is None:
        kind = "next by itself"
    elif kind == "together" and (one.shoppers or 0) < 2:
        kind = "together by one"
    words = WORDS.get(language, WORDS["en"]).get(kind or "")
    return one.reason if words is None else words.format(count=one.shoppers, other=other)


def _other(one: Recommendation, language: str) -> str | None:
    """The name of the product that it goes with, which scoring knows by its name in the catalogue."""
    known = _by_name().get(one.with_product or "")
    return known.name.get(language, known.name["en"]) if known else one.with_product


@cache
def _by_name() -> dict[str, Product]:
    return {name: product for product in products() for name in product.name.values()}
