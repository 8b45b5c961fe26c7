"""What scoring costs per event, with a trained model and a large catalogue: the handlers in one process, no servers."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import TYPE_CHECKING

import msgspec

from mesh import Mesh, Money, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.interaction import ProductViewed
from mesh.events.product import ProductListed

if TYPE_CHECKING:
    from ml.models.propensity_serving import Model
    from ml.scoring.scorer import Scorer

START = datetime(2026, 1, 1, tzinfo=UTC)
VISITORS, CATEGORIES, BRANDS, SESSION = 5_000, 60, 300, 20_000
LEARNT = 60_000
"""Views that are known before anything is timed."""
PRICE = Money(amount=1999, currency="EUR")


class Scoring(msgspec.Struct, frozen=True, kw_only=True):
    """CPU microseconds of one core, all taken in turns in one run.

    Of an event that is scored, of one that is given recommendations as well, and of a recommendation alone, with
    all products and with a tenth of them.
    """

    products: int
    events: int
    scores: int
    event_us: float
    recommended_event_us: float
    recommendation_us: float
    recommendation_of_a_tenth_us: float

    def lines(self) -> list[str]:
        """For a terminal."""
        ratio = self.recommended_event_us / self.event_us
        growth = self.recommendation_us / self.recommendation_of_a_tenth_us
        return [
            f"{self.products:,} products, a trained model, {self.events:,} events, {self.scores:,} scores",
            f"an event, learnt and scored: {self.event_us:.0f} us, {1e6 / self.event_us:,.0f} a second of one core",
            f"with recommendations for each score: {self.recommended_event_us:.0f} us, {ratio:.2f} times as much",
            f"a recommendation: {self.recommendation_us:.0f} us, {growth:.2f} times that of a tenth of the products",
        ]


def evaluate(*, products: int = 100_000, events: int = 20_000, seed: int = 7) -> Scoring:
    """Time the handlers of scoring over a made-up shop. ValueError for fewer products than 100 or events than 256."""
    if products < 100 or events < 256:
        raise ValueError("at least 100 products and 256 events are needed")
    return asyncio.run(_evaluate(products, events, seed))


async def _evaluate(products: int, events: int, seed: int) -> Scoring:
    from ml.scoring.service import SCORED_AT_ONCE, learn_steps, score_visitors  # noqa: PLC0415  not for every process

    large, small = await _scorer(products, seed), await _scorer(products // 10, seed)
    asked = list(views(products, events, seed + 1, first=LEARNT))
    spent = {"score": 0.0, "recommend": 0.0, "small": 0.0}
    scores = 0
    for at in range(0, events, SCORED_AT_ONCE):
        batch = asked[at : at + SCORED_AT_ONCE]
        began = process_time()
        await learn_steps(batch, large)  # type: ignore[arg-type]  a list of fewer kinds
        scores += len([draft async for draft in score_visitors(batch, large)])  # type: ignore[arg-type]
        spent["score"] += process_time() - began
        await learn_steps(batch, small)  # type: ignore[arg-type]
        visitors = {one.event.visitor_id for one in batch}
        for scorer, what in ((large, "recommend"), (small, "small")):
            began = process_time()
            for visitor in visitors:
                await scorer.recommend(visitor, most=4)
            spent[what] += process_time() - began
    return Scoring(
        products=products,
        events=events,
        scores=scores,
        event_us=spent["score"] / events * 1e6,
        recommended_event_us=(spent["score"] + spent["recommend"]) / events * 1e6,
        recommendation_us=spent["recommend"] / scores * 1e6,
        recommendation_of_a_tenth_us=spent["small"] / scores * 1e6,
    )


async def _scorer(products: int, seed: int) -> "Scorer":
    """A scorer that serves a trained model, knows every product and an index over what was viewed."""
    from ml.recommendations.recommender import Recommender  # noqa: PLC0415  saves start-up time
    from ml.scoring.scorer import PROPENSITY, Scorer  # noqa: PLC0415  saves start-up time

    scorer = Scorer(Mesh(MemoryMesh("eu").broker("eu"), "scoring"), Recommender(), shoppers=VISITORS, warm=0)
    scorer.shoppers.settle()
    scorer.models.install(PROPENSITY, "benchmark", trained(seed))
    for listed in shop(products):
        scorer.recommender.learn(listed)
    for view in views(products, LEARNT, seed):
        scorer.learn(view)
    await scorer.recommender.refresh()
    return scorer


def shop(products: int) -> Iterator[ProductListed]:
    """Listings of a made-up shop, four variants of each thing."""
    for number in range(products):
        yield ProductListed(
            product_id=f"p{number}",
            name=f"Thing Number {number}",
            category=f"category {number % CATEGORIES}",
            brand=f"brand {number % BRANDS}",
            group=f"group {number // 4}",
            price=PRICE,
        )


def trained(seed: int) -> "Model":
    """A model of the size and depth that training makes, for which more views make buying likelier."""
    import numpy as np  # noqa: PLC0415  saves start-up time

    from ml.features import names  # noqa: PLC0415  saves start-up time
    from ml.models.propensity import PropensityClassifier  # noqa: PLC0415  scikit-learn

    rng = np.random.default_rng(seed)
    rows = rng.gamma(1.0, 4.0, (8_000, len(names())))
    labels = (rows[:, names().index("views")] + rng.normal(0, 4, len(rows)) > 8).astype(float)
    return PropensityClassifier().fit(rows, labels).served(names())


def views(products: int, count: int, seed: int, *, first: int = 0) -> Iterator[Received[ProductViewed]]:
    """Views, 500 a second, of visitors of whom some come often; some products are seen often."""
    import numpy as np  # noqa: PLC0415  saves start-up time

    rng = np.random.default_rng(seed)
    visitors = (rng.random(count) ** 1.5 * VISITORS).astype(int).tolist()
    items = (rng.random(count) ** 3 * products).astype(int).tolist()
    for number, (visitor, item) in enumerate(zip(visitors, items, strict=True), first):
        viewed = ProductViewed(
            visitor_id=f"v{visitor}",
            session_id=f"s{visitor}-{number // SESSION}",
            product_id=f"p{item}",
            price=PRICE,
            category=f"category {item % CATEGORIES}",
        )
        at = START + timedelta(milliseconds=2 * number)
        yield Received(event=viewed, id=f"e{number}", time=at, stored=at, region="eu", sequence=number, subject="")
