"""Recommendations: what to show next to what a shopper saw, from the newest steps of all shoppers.

What was seen is kept in a ring; an index over it is built beside the event loop and swapped in one
assignment, so that a query sees either the old index or the new one.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from zlib import crc32

import numpy as np

from mesh.event import Event, Money
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from ml.models.neighbours import Neighbours, build

MOST_STEPS = 60_000
MOST_PRODUCTS = 30_000
LEAST_NEWS = 20
"""Steps after which a new index is worth building at all, or 1 % of what it holds."""


class Recommender:
    """Learns products and who saw them together; recommends from the newest index."""

    def __init__(self, *, most_steps: int = MOST_STEPS, most_products: int = MOST_PRODUCTS) -> None:
        self._sessions = np.zeros(most_steps, dtype=np.int64)
        self._items = np.zeros(most_steps, dtype=np.int64)
        self._most_products = most_products
        self._learnt = self._built = 0
        self._products: list[str] = []
        self._numbers: dict[str, int] = {}
        self._lines: dict[str, CartLine] = {}
        self.index: Neighbours | None = None

    def learn(self, session: str, products: Iterable[str]) -> None:
        """A session was about these products now."""
        for product in products:
            number = self._numbers.get(product)
            if number is None:
                number = self._numbers[product] = len(self._products)
                self._products.append(product)
            at = self._learnt % len(self._items)
            self._sessions[at], self._items[at] = crc32(session.encode()), number
            self._learnt += 1

    def notice(self, happened: Event) -> None:
        """Remember what a product is called and costs, as it was last seen."""
        match happened:
            case ProductViewed(product_id=product, price=Money() as price, category=category, brand=brand):
                known = self._lines.get(product)
                self._keep(
                    CartLine(
                        product_id=product,
                        quantity=1,
                        price=price,
                        category=category,
                        brand=brand,
                        name=known.name if known else None,
                        image=known.image if known else None,
                        url=known.url if known else None,
                    )
                )
            case CartUpdated(lines=lines):
                for line in lines:
                    self._keep(_single(line))

    def recommend(self, seen: Sequence[str], *, without: Collection[str], most: int) -> list[str]:
        """Up to `most` products, best first; popular ones where nothing better is known; none of `without`."""
        return self.index.recommend(seen, without=without, most=most) if self.index else []

    def lines(self, seen: Sequence[str], *, without: Collection[str], most: int) -> tuple[CartLine, ...]:
        """The same as lines of a cart, without products whose price nobody told."""
        found = self.recommend(seen, without=without, most=2 * most)
        return tuple(self._lines[product] for product in found if product in self._lines)[:most]

    async def refresh(self) -> bool:
        """Build a new index if there is enough news; True when there is a new one."""
        news = self._learnt - self._built
        if news < (max(LEAST_NEWS, min(self._learnt, len(self._items)) // 100) if self.index else 1):
            return False
        if len(self._products) > self._most_products:
            self._forget()
        learnt = self._learnt
        held = min(learnt, len(self._items))
        order = np.arange(learnt - held, learnt) % len(self._items)
        taken = (list(self._products), dict(self._numbers), self._sessions[order], self._items[order])
        self.index = await asyncio.to_thread(build, *taken)
        self._built = learnt
        return True

    def _keep(self, line: CartLine) -> None:
        if len(self._lines) >= self._most_products and line.product_id not in self._lines:
            del self._lines[next(iter(self._lines))]
        self._lines[line.product_id] = line

    def _forget(self) -> None:
        """Number only the products that are still in the ring."""
        held = min(self._learnt, len(self._items))
        used, numbers = np.unique(self._items[:held], return_inverse=True)
        self._items[:held] = numbers
        self._products = [self._products[number] for number in used.tolist()]
        self._numbers = {product: number for number, product in enumerate(self._products)}


def _single(line: CartLine) -> CartLine:
    return CartLine(
        product_id=line.product_id,
        quantity=1,
        price=line.price,
        name=line.name,
        category=line.category,
        brand=line.brand,
        image=line.image,
        url=line.url,
    )
