"""A made-up shop: its catalogue and its shoppers, drawn from a seed."""

import random
from typing import NamedTuple

CATEGORIES = {
    "electronics.smartphone": (("apple", "samsung", "xiaomi", "huawei"), ("Phone", "Phone Pro", "Phone Mini"), 420),
    "electronics.audio.headphone": (("sony", "jbl", "bose"), ("Headphones", "Earbuds", "Headset"), 90),
    "computers.notebook": (("lenovo", "asus", "hp", "acer"), ("Notebook 13", "Notebook 15", "Workbook"), 760),
    "appliances.kitchen.kettle": (("bosch", "tefal", "philips"), ("Kettle", "Glass Kettle", "Travel Kettle"), 38),
    "appliances.kitchen.coffee_machine": (("delonghi", "krups", "philips"), ("Espresso", "Filter Machine"), 240),
    "apparel.shoes.sneakers": (("nike", "adidas", "puma"), ("Runner", "Court", "Trail"), 85),
    "apparel.jacket": (("columbia", "patagonia", "salewa"), ("Rain Jacket", "Down Jacket", "Shell"), 150),
    "furniture.living_room.lamp": (("ikea", "muuto", "artemide"), ("Floor Lamp", "Desk Lamp"), 60),
    "kids.toys": (("lego", "playmobil", "ravensburger"), ("Castle", "Train Set", "Puzzle"), 32),
    "sport.bicycle": (("cube", "trek", "giant"), ("City Bike", "Gravel Bike"), 680),
}
"""Category -> its brands, kinds of product, and typical price in major units."""

ZONES = {
    "America/New_York": ("en-US", 0.22),
    "America/Los_Angeles": ("en-US", 0.14),
    "America/Sao_Paulo": ("pt-BR", 0.08),
    "Europe/London": ("en-GB", 0.14),
    "Europe/Berlin": ("de-DE", 0.16),
    "Europe/Madrid": ("es-ES", 0.08),
    "Asia/Tokyo": ("ja-JP", 0.10),
    "Asia/Singapore": ("en-SG", 0.08),
}
"""Time zone -> its locale, and the share of shoppers who live there."""

DEVICES = {"mobile": 0.58, "desktop": 0.34, "tablet": 0.08}


class Product(NamedTuple):
    """Something for sale; `price` in major units, `appeal` how often it is looked at relative to others."""

    product_id: int
    name: str
    category: str
    brand: str
    price: float
    appeal: float


class Shopper(NamedTuple):
    """Who browses. `intent` is the log-odds of buying before anything is known of the visit."""

    user_id: int
    time_zone: str
    locale: str
    device: str
    intent: float
    thrift: float
    loves: tuple[str, ...]
    visits_a_day: float


def catalogue(chance: random.Random, *, per_category: int = 12) -> list[Product]:
    """Products of every category, a few of them much looked at (Zipf)."""
    products = []
    for number, (category, (brands, kinds, typical)) in enumerate(CATEGORIES.items()):
        for place in range(per_category):
            brand = chance.choice(brands)
            products.append(
                Product(
                    product_id=(number + 1) * 10_000 + place,
                    name=f"{brand.title()} {chance.choice(kinds)} {chance.randint(2, 9)}00",
                    category=category,
                    brand=brand,
                    price=round(typical * chance.lognormvariate(0, 0.45), 2),
                    appeal=1 / (1 + place),
                )
            )
    return products


def shoppers(chance: random.Random, count: int) -> list[Shopper]:
    """`count` shoppers with their habits."""
    zones = list(ZONES)
    return [
        Shopper(
            user_id=500_000_000 + number,
            time_zone=(zone := chance.choices(zones, [ZONES[name][1] for name in zones])[0]),
            locale=ZONES[zone][0],
            device=chance.choices(list(DEVICES), list(DEVICES.values()))[0],
            intent=chance.gauss(-1.4, 0.7),
            thrift=abs(chance.gauss(0, 0.35)),
            loves=tuple(chance.sample(list(CATEGORIES), 2)),
            visits_a_day=chance.lognormvariate(-0.9, 0.6),
        )
        for number in range(count)
    ]
