"""Recommendations: what to show next to what a shopper saw, from the newest steps of all shoppers.

What was seen is kept in a ring; an index over it is built beside the event loop and swapped in one
assignment, so that a query sees either the old index or the new one. Between two builds, sessions
that went on are put on top of the index (`Shelf.extended`), which costs what is new and no more.
"""

import asyncio
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np

from mesh.event import Event
from mesh.events.user import Recommendation
from ml.catalogue import Catalogue
from ml.models.blend import WEIGHTS
from ml.shelf import Candidate, Clicks, Shelf
from ml.steps import Step
from ml.words import count

MOST_STEPS = 60_000
MOST_PRODUCTS = 30_000
LEAST_NEWS = 20
"""Steps after which newer sessions are worth looking at, or 1 % of what is held."""
REBUILD = 0.2
"""The share of new steps at which the index is built again as a whole."""
TUNE, LEAST_TUNED = 0.5, 5_000
"""The share of new steps at which weights are tuned again, and how many steps that takes at least."""
Kind = Literal["together", "next", "seen", "category", "popular"]


class Recommender:
    """Learns products and who saw them together; recommends from the newest index.

    `weights` of the blend are where tuning begins; they serve until there is enough to tune them.
    """

    def __init__(
        self,
        *,
        most_steps: int = MOST_STEPS,
        most_products: int = MOST_PRODUCTS,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> None:
        self._sessions, self._items, self._visitors = (np.zeros(most_steps, dtype=np.int64) for _ in range(3))
        self._most_products, self._untuned, self._weights = most_products, weights, weights
        self._learnt = self._built = self._extended = self._tuned = 0
        self._products: list[str] = []
        self._numbers: dict[str, int] = {}
        self._base: Shelf | None = None
        self.catalogue = Catalogue(most=most_products)
        self.index: Shelf | None = None

    def learn(self, happened: Event, step: Step | None = None) -> None:
        """Take in an event; `step` is the same as a step of a shopper, where it is one."""
        self.catalogue.learn(happened)
        if step is not None:
            for product in (step.product,) if step.product else step.products[-1:]:
                self._learn(step.session, getattr(happened, "visitor_id", step.session), product)

    def recommend(
        self, seen: Sequence[str], *, without: Collection[str], most: int, priced: bool = False
    ) -> tuple[Recommendation, ...]:
        """Up to `most` products for who has `seen` these, newest first; best first, each with its reason.

        Never one of `without` or a variant of one, never what was seen last, never what the shop withholds;
        with `priced` only products whose price is known. At first as few of one category as there are
        others; popular products of the categories that were seen, then of the whole shop, fill up.
        """
        if self.index is None:
            return ()
        shunned = {*without, *seen[:1]}
        most_alike = -(-most // 2)
        chosen: dict[str, Candidate] = {}
        postponed: list[Candidate] = []
        alike: dict[str | None, int] = {}
        for candidate in self._candidates(seen, most):
            if len(chosen) == most:
                break
            product = candidate.product
            if product in chosen or product in shunned or not self._may_show(product, priced=priced):
                continue
            category = self.catalogue.of(product).category
            if category is not None and alike.get(category, 0) >= most_alike:
                postponed.append(candidate)
                continue
            if not self._has_variant_among(product, shunned, chosen):
                chosen[product] = candidate
                alike[category] = alike.get(category, 0) + 1
        for candidate in postponed:
            if len(chosen) < most and not self._has_variant_among(candidate.product, shunned, chosen):
                chosen.setdefault(candidate.product, candidate)
        return tuple(self._recommendation(candidate) for candidate in chosen.values())

    def weigh(self, weights: Mapping[str, float]) -> None:
        """Rank by other weights, from the next refresh on."""
        self._weights, self._base, self._extended = weights, None, 0

    async def refresh(self) -> bool:
        """Take newer sessions into the index if there is enough news; True when there is a new one."""
        held = min(self._learnt, len(self._items))
        news = self._learnt - self._extended
        if news < (max(LEAST_NEWS, held // 100) if self.index else 1):
            return False
        learnt = self._learnt
        if self._base is None or learnt - self._built > REBUILD * held:
            if len(self._products) > self._most_products:
                self._forget()
            await self._build(tune=learnt - self._tuned >= max(LEAST_TUNED, TUNE * held))
            self._built = learnt
        else:
            self.index = await asyncio.to_thread(self._base.extended, self._clicks(), learnt - self._built)
        self._extended = learnt
        return True

    async def _build(self, *, tune: bool) -> None:
        learnt, weights = self._learnt, self._untuned if tune else self._weights
        self._base = self.index = await asyncio.to_thread(partial(Shelf.build, self._clicks(), weights, tune=tune))
        self._weights = self.index.weights
        if tune:
            self._tuned = learnt

    def _learn(self, session: str, visitor: str, product: str) -> None:
        number = self._numbers.get(product)
        if number is None:
            number = self._numbers[product] = len(self._products)
            self._products.append(product)
        at = self._learnt % len(self._items)
        self._sessions[at], self._visitors[at], self._items[at] = hash(session), hash(visitor), number
        self._learnt += 1

    def _clicks(self) -> Clicks:
        """What is in the ring now, in time order."""
        held = min(self._learnt, len(self._items))
        order = np.arange(self._learnt - held, self._learnt) % len(self._items)
        return Clicks(
            sessions=self._sessions[order],
            visitors=self._visitors[order],
            items=self._items[order],
            products=tuple(self._products),
            categories=tuple(self.catalogue.of(product).category for product in self._products),
        )

    def _candidates(self, seen: Sequence[str], most: int) -> Iterator[Candidate]:
        """Candidates, best first: from the session, from its categories, from the whole shop."""
        index = self.index
        if index is None:
            return
        yield from index.nearby(seen, most)
        for category in dict.fromkeys(self.catalogue.of(product).category for product in seen):
            if category is not None:
                yield from index.popular_in(category)
        yield from index.popular()

    def _may_show(self, product: str, *, priced: bool) -> bool:
        return not self.catalogue.withholds(product) and not (priced and self.catalogue.of(product).price is None)

    def _has_variant_among(self, product: str, *products: Container[str]) -> bool:
        """Whether a variant of the product is among these."""
        return any(one in some for one in self.catalogue.variants(product) for some in products)

    def _recommendation(self, candidate: Candidate) -> Recommendation:
        known = self.catalogue.of(candidate.product)
        other = self.catalogue.of(candidate.beside).name if candidate.beside is not None else None
        return Recommendation(
            product_id=candidate.product,
            reason=_words(candidate, other, known.category),
            kind=candidate.kind,
            with_product=other,
            shoppers=candidate.shoppers,
            price=known.price,
            name=known.name,
            category=known.category,
            brand=known.brand,
            image=known.image,
            url=known.url,
        )

    def _forget(self) -> None:
        """Number only the products that are still in the ring. The index that serves keeps its own numbers."""
        held = min(self._learnt, len(self._items))
        used, numbers = np.unique(self._items[:held], return_inverse=True)
        self._items[:held] = numbers
        self._products = [self._products[number] for number in used.tolist()]
        self._numbers = {product: number for number, product in enumerate(self._products)}


def _words(candidate: Candidate, other: str | None, category: str | None) -> str:
    """Why, as a shopper may read it."""
    match candidate.kind:
        case "together":
            return f"viewed together with {other or 'what you saw'} by {count(candidate.shoppers or 0, 'shopper')}"
        case "next":
            return f"often next after {other or 'what you saw'}"
        case "seen":
            return "you looked at it before"
        case "category":
            return f"popular in {category}"
        case "popular":
            return "popular in the shop"
