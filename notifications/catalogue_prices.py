"""Catalogue prices: what a product costs in a currency."""

from mesh.events.product import ProductListed
from mesh.money import Money


def price_in(listed: ProductListed, currency: str) -> Money | None:
    """What a product costs in a currency by the catalogue; None where it has no such price."""
    every_price = ([listed.price] if listed.price else []) + list(listed.prices)
    return next((one for one in every_price if one.currency == currency), None)
