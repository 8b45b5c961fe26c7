"""Recommendations: what to show next to what a shopper saw, from the newest steps of all shoppers.

What was seen is kept in a ring; an index over it is built elsewhere (`ml.recommendations.index_process`) and swapped
in one assignment, so that a query sees either the old index or the new one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from mesh.event import Event
from mesh.events.user import Recommendation
from ml.clickstream.steps import Step
from ml.features.formatting import count
from ml.models.blend import WEIGHTS
from ml.recommendations.catalogue import Catalogue
from ml.recommendations.selection import Selection
from ml.recommendations.session_index import Build, Candidate, Clicks, SessionIndex, Why

MOST_STEPS = 60_000
MOST_PRODUCTS = 200_000
LEAST_NEWS = 20
"""Steps after which newer sessions are worth looking at, or 1 % of what is held."""
TUNE, LEAST_TUNED = 0.5, 5_000
"""The share of new steps at which weights are tuned again, and how many steps that takes at least."""


Builder = Callable[[Clicks, Mapping[str, float], bool], Awaitable[Build]]
"""Indexes clicks, beginning with these weights of the blend, which are tuned where that is asked for."""


async def build_in_thread(clicks: Clicks, weights: Mapping[str, float], tune: bool) -> Build:
    """Index clicks in a thread of this process: for tests and benchmarks, where nothing waits beside it."""
    return await asyncio.to_thread(Build.of, clicks, weights, tune=tune)


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
        build: Builder = build_in_thread,
    ) -> None:
        self._sessions, self._items, self._visitors = (np.zeros(most_steps, dtype=np.int64) for _ in range(3))
        self._most_products, self._untuned, self._weights = most_products, weights, weights
        self._log_appeal: Mapping[str, float] = {}
        self._build = build
        self._learnt = self._built = self._tuned = 0
        self._products: list[str] = []
        self._numbers: dict[str, int] = {}
        self._indexed = 0
        self._outdated = False
        """Whether the index holds what is to be forgotten, or ranks by other weights."""
        self.catalogue = Catalogue(most=most_products)
        self.index: SessionIndex | None = None

    def learn(self, happened: Event, step: Step | None = None) -> None:
        """Take in an event; `step` is the same as a step of a shopper, where it is one."""
        self.catalogue.learn(happened)
        if step is not None:
            for product in (step.product,) if step.product else step.products[-1:]:
                self._learn(step.session, getattr(happened, "visitor_id", step.session), product)

    def forget(self, visitor: str) -> None:
        """Forget what a visitor saw, also in the index, from the next refresh on."""
        held = min(self._learnt, len(self._items))
        order = np.arange(self._learnt - held, self._learnt) % len(self._items)
        others = order[self._visitors[order] != hash(visitor)]
        if len(others) == held:
            return
        for column in (self._sessions, self._items, self._visitors):
            column[: len(others)] = column[others]
        self._learnt, self._tuned, self._outdated = len(others), min(self._tuned, len(others)), True

    def recommend(
        self, seen: Sequence[str], *, exclude: Collection[str], most: int, priced: bool = False
    ) -> tuple[Recommendation, ...]:
        """Up to `most` products for who has `seen` these, newest first; best first, each with its reason.

        Never one of `exclude` or a variant of one, never what was seen last, never what the shop withholds;
        with `priced` only products whose price is known. At first as few of one category as there are
        others; popular products of the categories that were seen, then of the whole shop, fill up.
        """
        if self.index is None:
            return ()
        selection = Selection(self.catalogue, {*exclude, *seen[:1]}, most=most, priced=priced)
        for candidates in self._candidates(self.index, seen, most):
            for candidate in candidates:
                if selection.complete:
                    break
                selection.consider(candidate)
        return tuple(map(self._recommendation, selection.chosen()))

    @property
    def version(self) -> tuple[int, int]:
        """Changes with the index and with what the shop withholds, which is all that must not be shown late."""
        return self._indexed, self.catalogue.withheld_changes

    @property
    def outgrown(self) -> bool:
        """Whether the number of learnt steps has at least doubled since the index was built."""
        return self._learnt >= max(2 * self._built, 1)

    def weigh(self, weights: Mapping[str, float], log_appeal: Mapping[str, float] | None = None) -> None:
        """Rank by other weights, and products by their appeal (`ml.models.click_model`), from the next refresh on."""
        self._weights, self._log_appeal, self._outdated = weights, log_appeal or {}, True

    async def refresh(self) -> bool:
        """Index what was seen if there is enough news; True when there is a new index. Raises what the builder does."""
        held, learnt = min(self._learnt, len(self._items)), self._learnt
        if not self._outdated and learnt - self._built < (max(LEAST_NEWS, held // 100) if self.index else 1):
            return False
        self._outdated = False
        if not held:
            self.index, self._built = None, 0
            return False
        if len(self._products) > self._most_products:
            self._forget()
        clicks, tune = self._clicks(), learnt - self._tuned >= max(LEAST_TUNED, TUNE * held)
        try:
            built = await self._build(clicks, self._untuned if tune else self._weights, tune)
        except BaseException:
            self._outdated = True
            raise
        self.index = SessionIndex(built, clicks, self._category, self._log_appeal)
        self._weights, self._built = self.index.weights, learnt
        self._tuned = learnt if tune else self._tuned
        self._indexed += 1
        return True

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
            products=self._products,
            numbers=self._numbers,
            known=len(self._products),
        )

    def _candidates(self, index: SessionIndex, seen: Sequence[str], most: int) -> Iterator[Iterable[Candidate]]:
        """Candidates, best first: from the session, from its categories, from the whole shop."""
        yield index.nearby(seen, most)
        for category in dict.fromkeys(map(self._category, seen)):
            if category is not None:
                yield index.popular_in(category)
        yield index.popular()

    def _category(self, product: str) -> str | None:
        return self.catalogue.of(product).category

    def _recommendation(self, candidate: Candidate) -> Recommendation:
        known, why = self.catalogue.of(candidate.product), candidate.reason()
        other = self.catalogue.of(why.beside).name if why.beside is not None else None
        return Recommendation(
            product_id=candidate.product,
            reason=_words(why, other, known.category),
            kind=why.kind,
            with_product=other,
            shoppers=why.shoppers,
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


def _words(why: Why, other: str | None, category: str | None) -> str:
    """Why, as a shopper may read it."""
    match why.kind:
        case "together":
            return f"viewed together with {other or 'what you saw'} by {count(why.shoppers or 0, 'shopper')}"
        case "next":
            return f"often next after {other or 'what you saw'}"
        case "seen":
            return "you looked at it before"
        case "category":
            return f"popular in {category}"
        case "popular":
            return "popular in the shop"
