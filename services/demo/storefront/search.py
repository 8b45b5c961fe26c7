"""The products that a search means, best first."""

import unicodedata

from services.demo.storefront.catalogue import LANGUAGES, Product, products
from services.demo.storefront.texts import words

LONGEST = 100
"""Characters of a query that are looked at."""
NAME, CATEGORY, TEXT = 3, 2, 1
"""What a word found there is worth."""


def asked(query: str) -> str:
    """A query as it is shown and sent: on one line, without control characters, not longer than `LONGEST`."""
    kept = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in query[: 4 * LONGEST])
    return " ".join(kept.split())[:LONGEST].strip()


def search_products(query: str) -> tuple[Product, ...]:
    """The products that have every word of a query somewhere, in any of the languages."""
    wanted = _plain(query).split()
    if not wanted:
        return ()
    rated = [(_worth(product, wanted), product) for product in products()]
    return tuple(product for worth, product in sorted(rated, key=lambda one: -one[0]) if worth)


def _worth(product: Product, wanted: list[str]) -> int:
    names = _plain(" ".join((*product.name.values(), product.product_id)))
    categories = _plain(
        " ".join((product.brand, *(words(language)[f"category_{product.category}"] for language in LANGUAGES)))
    )
    texts = _plain(" ".join(product.text.values()))
    worths = [NAME * (word in names) or CATEGORY * (word in categories) or TEXT * (word in texts) for word in wanted]
    return sum(worths) if all(worths) else 0


def _plain(text: str) -> str:
    """Text as it is compared: without case, accents and the width of letters (`grün` finds `Grun`)."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in parts if not unicodedata.combining(one))
