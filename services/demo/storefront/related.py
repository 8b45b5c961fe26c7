"""Which products a page shows next to others, before anything is known of its visitor."""

from services.demo.storefront.catalogue import Product, find, in_category

SEASON = ("sencha-yame-50", "yunomi-indigo", "darjeeling-spring", "kyusu-red")
FRONT = ("matcha-asahi", "chawan-kohiki", "whisk", "tin-cherry")
GOES_WITH = {
    "green": ("kyusu-red", "yunomi-indigo", "tin-cherry"),
    "black": ("teapot-sand", "mug-celadon", "strainer"),
    "herbal": ("glass-pot", "mug-celadon", "tray-oak"),
    "cups": ("sencha-yame-50", "kyusu-black", "tray-oak"),
    "pots": ("hojicha", "yunomi-ash", "strainer"),
    "tools": ("matcha-asahi", "chawan-kohiki", "gyokuro-uji"),
}
"""What people of the trade would put beside a category's products."""
MANY = 4


def favourites() -> tuple[Product, ...]:
    """What the shop's owners like just now."""
    return _found(SEASON)


def related_to(product: Product | None) -> tuple[Product, ...]:
    """Four products to go with one, or with none: what suits its category, then others of that category."""
    if product is None:
        return _found(FRONT)
    suits = _found(GOES_WITH[product.category])
    near = tuple(one for one in in_category(product.category) if one.group != product.group)
    return tuple(one for one in (*suits, *near) if one != product)[:MANY]


def _found(product_ids: tuple[str, ...]) -> tuple[Product, ...]:
    return tuple(product for product_id in product_ids if (product := find(product_id)))
