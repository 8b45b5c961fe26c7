"""Starts: ready journeys that a new one may begin as, besides a copy of another."""

from pathlib import Path

FOLDER = Path(__file__).parent
STARTS = {
    "reminder-then-discount": "A reminder, then a discount",
    "checkout-abandoned": "Checkout abandoned",
    "browse-abandoned": "Browse abandoned",
    "price-dropped": "Price dropped",
    "back-in-stock": "Back in stock",
    "win-back": "Win-back",
}
"""Their files, and what they are called."""


def start(name: str) -> str:
    """The TOML text of one of `STARTS`."""
    return (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
