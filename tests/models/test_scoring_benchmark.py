"""What an event costs scoring is measured on a shop of any size."""

import sys
import tracemalloc
from collections import Counter
from contextlib import contextmanager

import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from ml.benchmarks.scoring import evaluate, shop, views
from ml.recommendations.recommender import Recommender
from ml.scoring.scorer import Scorer
from ml.scoring.service import learn_steps, score_visitors


@pytest.mark.timeout(300)  # a cold import of scikit-learn, on a busy machine
def test_events_of_a_made_up_shop_are_scored_and_timed():
    """Every event is learnt, the newest of each visitor in a batch is scored, and what that took is said in words."""
    found = evaluate(products=500, events=512)

    assert (found.products, found.events) == (500, 512)
    assert 400 < found.scores <= 512
    assert 0 < found.event_us < found.recommended_event_us
    assert found.lines()[1].startswith("an event, learnt and scored: ")


def test_too_little_to_time_is_refused():
    """A shop without products is refused in words."""
    with pytest.raises(ValueError, match="at least 100 products"):
        evaluate(products=10)


SMALL, LARGE, LEARNT = 400, 8_000, 4_000


@contextmanager
def counting():
    """Counts the functions that are called, and the bytes that are held at once, in the block."""
    done = Counter()

    def called(_frame, event, _value):
        done["calls"] += event in ("call", "c_call")

    tracemalloc.start()
    sys.setprofile(called)
    try:
        yield done
    finally:
        sys.setprofile(None)
        done["bytes"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


async def work(products):
    """What it takes to learn and score events in a shop of so many products, and to recommend to their visitors."""
    scorer = Scorer(Mesh(MemoryMesh("eu").broker("eu"), "scoring"), Recommender(), shoppers=5_000, warm=0)
    scorer.shoppers.settle()
    for listed in shop(products):
        scorer.recommender.learn(listed)
    for view in views(products, LEARNT, 7):
        scorer.learn(view)
    await scorer.recommender.refresh()
    batch = list(views(products, 64, 8, first=LEARNT))
    for visitor in {view.event.visitor_id for view in batch}:
        await scorer.recommend(visitor, most=4)  # what is made once for all queries is made
    with counting() as scored:
        await learn_steps(batch, scorer)
        assert len([draft async for draft in score_visitors(batch, scorer)]) > 32
    with counting() as recommended:
        for visitor in {view.event.visitor_id for view in batch}:
            await scorer.recommend(visitor, most=4)
    return scored, recommended


async def test_the_work_of_an_event_does_not_grow_with_the_catalogue():
    """Twenty times the products take no more calls, and no more memory at once."""
    few, many = await work(SMALL), await work(LARGE)

    for one, other in zip(few, many, strict=True):
        assert other["calls"] <= 1.1 * one["calls"]
        assert other["bytes"] <= 1.5 * one["bytes"]
