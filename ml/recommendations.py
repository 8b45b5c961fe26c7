"""Recommendations: what to show next to what a shopper saw, from the newest steps of all shoppers.

What was seen is kept in a ring; an index over it is built beside the event loop and swapped in one
assignment, so that a query sees either the old index or the new one.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from msgspec.structs import replace

from mesh.event import Event, Money
from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.user import Recommendation
from ml.models.neighbours import Neighbours, build
from ml.steps import Step

MOST_STEPS = 60_000
MOST_PRODUCTS = 30_000
SEEN = "seen together by other shoppers"
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
        self._known: dict[str, Recommendation] = {}
        self.index: Neighbours | None = None

    def learn(self, happened: Event, step: Step | None = None) -> None:
        """Take in an event: what it tells of products, and with its step what a session was about."""
        match happened:
            case ProductViewed(product_id=product, price=Money() as price, category=category, brand=brand):
                self._keep(product, price=price, category=category, brand=brand)
            case CartUpdated(lines=lines):
                for line in lines:
                    self._keep(
                        line.product_id,
                        price=line.price,
                        name=line.name,
                        category=line.category,
                        brand=line.brand,
                        image=line.image,
                        url=line.url,
                    )
        if step is not None:
            for product in (step.product,) if step.product else step.products[-1:]:
                self._note(step.session, product)

    def recommend(
        self, seen: Sequence[str], *, without: Collection[str], most: int, priced: bool = False
    ) -> tuple[Recommendation, ...]:
        """Up to `most` products, best first; popular ones where nothing better is known; none of `without`.

        `seen` are products, newest first. With `priced` only those whose price somebody told.
        """
        if self.index is None:
            return ()
        found = self.index.recommend(seen, without=without, most=2 * most if priced else most)
        told = [self._known.get(product) or Recommendation(product_id=product, reason=SEEN) for product in found]
        return tuple(one for one in told if one.price is not None or not priced)[:most]

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

    def _note(self, session: str, product: str) -> None:
        number = self._numbers.get(product)
        if number is None:
            number = self._numbers[product] = len(self._products)
            self._products.append(product)
        at = self._learnt % len(self._items)
        self._sessions[at], self._items[at] = crc32(session.encode()), number
        self._learnt += 1

    def _keep(self, product: str, **told: Any) -> None:
        known = self._known.get(product) or Recommendation(product_id=product, reason=SEEN)
        if len(self._known) >= self._most_products and product not in self._known:
            del self._known[next(iter(self._known))]
        self._known[product] = replace(known, **{name: value for name, value in told.items() if value is not None})

    def _forget(self) -> None:
        """Number only the products that are still in the ring."""
        held = min(self._learnt, len(self._items))
        used, numbers = np.unique(self._items[:held], return_inverse=True)
        self._items[:held] = numbers
        self._products = [self._products[number] for number in used.tolist()]
        self._numbers = {product: number for number, product in enumerate(self._products)}
