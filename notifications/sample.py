"""A sample offer and order, so that a template can be looked at without a shopper."""

from datetime import UTC, datetime
from typing import Any

from mesh.events.cart import CartLine
from mesh.events.offer import OfferDecided
from mesh.events.order import Command, OrderCreated
from mesh.events.user import Recommendation
from mesh.money import Money
from notifications.shopper_profile import ShopperProfile

CURRENCIES = {"de": "EUR", "ja": "JPY"}
NAMES = {
    "en": (
        "Walnut desk lamp",
        "Linen notebook, set of two",
        "Brass pen tray",
        "Felt desk mat",
        "Ink bottle, sepia",
    ),
    "de": ("Schreibtischlampe Nussbaum", "Leinen-Notizbuch, 2er-Set", "Stiftschale Messing", "Filzunterlage", "Tinte"),
    "ja": ("ウォールナットのデスクランプ", "リネンノート 2冊セット", "真鍮のペントレイ", "フェルトマット", "インク"),
}


def sample(locale: str = "en") -> tuple[OfferDecided, ShopperProfile]:
    """An offer for two products with three recommended, in the currency of the locale's home."""
    language = locale.replace("_", "-").partition("-")[0]
    currency, names = CURRENCIES.get(language, "USD"), NAMES.get(language, NAMES["en"])
    scale = 100 if currency == "JPY" else 1

    def product(at: int, cents: int) -> dict[str, Any]:
        price = Money(amount=cents * scale if scale == 1 else cents, currency=currency)
        return {"product_id": f"p{at}", "price": price, "name": names[at], "url": "https://example.test"}

    def line(at: int, cents: int, quantity: int = 1) -> CartLine:
        return CartLine(quantity=quantity, **product(at, cents))

    def next_to(at: int, cents: int) -> Recommendation:
        together = {"reason": f"viewed together with {names[0]} by 41 shoppers", "kind": "together"}
        return Recommendation(**together, with_product=names[0], shoppers=41, **product(at, cents))

    lines = (line(0, 8900), line(1, 1650, 2))
    decided = OfferDecided(
        cart_id="sample",
        visitor_id="sample",
        offer_id="0f5a2c8e",
        abandonment_id="sample",
        attempt=1,
        outcome="approved",
        reason="",
        checks=(),
        journey="abandoned-cart",
        due=datetime.now(UTC),
        channels=("email", "onsite"),
        template="abandoned-cart",
        coupon="BACK-7K3Q-M9XD-2WPA",
        discount_percent=10,
        lines=lines,
        recommended=(next_to(2, 2400), next_to(3, 3900), next_to(4, 1200)),
        total=Money(amount=12200, currency=currency),
    )
    name = {"de": "Frau Lindner", "ja": "佐藤"}.get(language, "Ada")
    return decided, ShopperProfile(email="ada@example.test", name=name, locale=locale, time_zone="Europe/Berlin")


def sample_order(offer: tuple[OfferDecided, ShopperProfile]) -> OrderCreated:
    """An order of what a sample offers."""
    decided, _ = offer
    return OrderCreated(
        order_id="3f9c1d2e7a",
        lines=decided.lines,
        total=Money.sum(line.price * line.quantity for line in decided.lines) or decided.lines[0].price,
        payment_method="sample",
        command=Command(key="", body=""),
        visitor_id=decided.visitor_id,
    )
