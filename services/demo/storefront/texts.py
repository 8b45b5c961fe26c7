"""Every text of the pages, and in which language a browser wants it."""

import tomllib
from functools import cache
from pathlib import Path

from services.demo.storefront.catalogue import LANGUAGES

FILE = Path(__file__).parent / "texts.toml"
NAMES = {"en": "English", "de": "Deutsch", "ja": "日本語"}
"""The languages, each in its own words."""


@cache
def words(language: str) -> dict[str, str]:
    """The texts of a language by name, read once."""
    texts = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: text[language] for name, text in texts.items()}


def preferred(accepted: str) -> str:
    """The language that an `Accept-Language` header likes best (RFC 9110, 12.5.4); English where it is silent."""
    best, chosen = 0.0, LANGUAGES[0]
    for part in accepted.lower().split(","):
        tag, _, parameters = part.partition(";")
        language = tag.strip()[:2]
        weight = _weight(parameters)
        if language in LANGUAGES and weight > best:
            best, chosen = weight, language
    return chosen


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
