"""Catalogue: what products are called and cost, which are variants of one another, and which may be shown."""

import asyncio

import msgspec

from mesh import Mesh
from mesh.errors import InvalidEvent
from mesh.event import Event, declaration_of
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.product import ProductListed
from mesh.mesh import received
from mesh.money import Money
from mesh.subjects import every

MOST_WITHHELD = 200_000
LEAST_WORDS = 3
"""Names of fewer words are not taken for those of variants."""


class Listing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a product."""

    name: str | None = None
    category: str | None = None
    brand: str | None = None
    group: str | None = None
    price: Money | None = None
    image: str | None = None
    url: str | None = None


NOTHING = Listing()


class Catalogue:
    """Products as the shop listed them or, where it did not, as shoppers saw them; the newest `most` of them.

    What the shop withholds is remembered apart from that, so that no product is shown because it was forgotten.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._listings: dict[str, Listing] = {}
        self._withheld: dict[str, None] = {}
        self.withheld_changes = 0
        """How often a product was withheld or allowed again."""
        self._families: dict[str, object] = {}
        self._consumed: set[str] | None = set()

    def learn(self, happened: Event) -> None:
        """Learn what an event holds about products. The latest value counts; an absent field changes nothing."""
        match happened:
            case ProductListed():
                self._list(happened)
                if self._consumed is not None:
                    self._consumed.add(happened.product_id)
            case ProductViewed(product_id=product, price=price, category=category, brand=brand):
                self._notice(product, price=price, category=category, brand=brand)
            case CartUpdated(lines=lines):
                for line in lines:
                    self._notice_line(line)

    async def read(self, mesh: Mesh) -> None:
        """Learn every listing in this region's log; what was consumed meanwhile is newer and counts."""
        declaration, read = declaration_of(ProductListed), 0
        async for message in mesh.broker.read(mesh.stream_of(ProductListed), [every(declaration, region=mesh.region)]):
            try:
                listed = received(message).event
            except InvalidEvent:
                continue  # its own handler makes it a dead letter
            if self._consumed is None or listed.product_id not in self._consumed:
                self._list(listed)
            read += 1
            if read % 200 == 0:
                await asyncio.sleep(0)
        self._consumed = None

    def of(self, product: str) -> Listing:
        """What is known of a product, perhaps nothing."""
        return self._listings.get(product, NOTHING)

    def withholds(self, product: str) -> bool:
        """Whether the shop lists it as not to be bought, or not to be recommended."""
        return product in self._withheld

    def family(self, product: str) -> object | None:
        """What the variants of a product have in common; None where it has none that are known.

        They share their group, or where the shop names none, brand, category and all of a long name but its last word.
        """
        return self._families.get(product)

    def _list(self, listed: ProductListed) -> None:
        known = self.of(listed.product_id)
        self._keep(
            listed.product_id,
            Listing(
                name=listed.name or known.name,
                category=listed.category or known.category,
                brand=listed.brand or known.brand,
                group=listed.group,
                price=listed.price or known.price,
                image=listed.image or known.image,
                url=listed.url or known.url,
            ),
        )
        withheld = not (listed.available and listed.recommendable)
        self.withheld_changes += withheld != self.withholds(listed.product_id)
        self._withheld.pop(listed.product_id, None)
        if withheld:
            self._withheld[listed.product_id] = None
            if len(self._withheld) > MOST_WITHHELD:
                del self._withheld[next(iter(self._withheld))]

    def _notice_line(self, line: CartLine) -> None:
        self._notice(
            line.product_id,
            price=line.price,
            name=line.name,
            category=line.category,
            brand=line.brand,
            image=line.image,
            url=line.url,
        )

    def _notice(self, product: str, **fields: str | Money | None) -> None:
        news = {name: value for name, value in fields.items() if value is not None}
        known = self.of(product)
        if any(getattr(known, name) != value for name, value in news.items()):
            self._keep(product, msgspec.structs.replace(known, **news))

    def _keep(self, product: str, listing: Listing) -> None:
        if len(self._listings) >= self._most and product not in self._listings:
            oldest = next(iter(self._listings))
            del self._listings[oldest]
            self._families.pop(oldest, None)
        self._listings[product] = listing
        if (family := _family(listing)) is not None:
            self._families[product] = family
        else:
            self._families.pop(product, None)


def _family(listing: Listing) -> object | None:
    if listing.group is not None:
        return listing.group
    words = (listing.name or "").lower().split()
    if listing.brand is None or listing.category is None or len(words) < LEAST_WORDS:
        return None
    return listing.brand, listing.category, *words[:-1]
