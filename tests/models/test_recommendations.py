"""Recommendations follow what shoppers see together, and never what one has."""

import asyncio

from mesh import Money
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from ml.recommendations import Recommender
from ml.steps import Step


def seen(session, product):
    return ProductViewed(visitor_id="v", product_id=product), Step(0.0, "id", "view", session, product)


def ids(found):
    return [one.product_id for one in found]


def learnt(*sessions):
    recommender = Recommender(most_steps=1000, most_products=100)
    for at, products in enumerate(sessions):
        for product in products:
            recommender.learn(*seen(f"s{at}", product))
    return recommender


async def test_what_was_seen_together_comes_first():
    """Who saw the tent is shown what others saw with the tent, most shared first."""
    recommender = learnt(["tent", "stove", "lamp"], ["tent", "stove"], ["tent", "lamp"], ["tent", "stove"], ["boots"])
    await recommender.refresh()

    assert ids(recommender.recommend(["tent"], without=(), most=2)) == ["stove", "lamp"]


async def test_nothing_that_is_excluded_is_recommended():
    """What is in the cart or was bought is never recommended, not even as popular."""
    recommender = learnt(["tent", "stove", "lamp"], ["tent", "stove"])
    await recommender.refresh()

    assert ids(recommender.recommend(["tent"], without={"tent", "stove"}, most=5)) == ["lamp"]


async def test_who_is_unknown_gets_what_is_popular():
    """Without anything seen, or with an unknown product, the popular ones are shown, each once."""
    recommender = learnt(["tent"], ["tent"], ["tent", "stove"], ["lamp"])
    await recommender.refresh()

    assert ids(recommender.recommend([], without=(), most=9)) == ["tent", "stove", "lamp"]
    assert ids(recommender.recommend(["never seen"], without=(), most=1)) == ["tent"]


async def test_an_empty_log_recommends_nothing():
    """Before anything happened there is nothing to recommend and nothing fails."""
    recommender = Recommender()

    assert await recommender.refresh() is False
    assert ids(recommender.recommend(["p"], without=(), most=3)) == []


async def test_serving_goes_on_while_the_index_is_rebuilt():
    """A query during a rebuild sees the old index or the new one, never half of one."""
    recommender = learnt(*(["a", "b"] for _ in range(30)))
    await recommender.refresh()
    for at in range(50):
        recommender.learn(*seen(f"n{at}", "a"))
        recommender.learn(*seen(f"n{at}", "c"))

    rebuilding = asyncio.create_task(recommender.refresh())
    during = []
    while not rebuilding.done():
        during.append(ids(recommender.recommend(["a"], without=(), most=1)))
        await asyncio.sleep(0)

    assert await rebuilding is True
    assert {one for (one,) in during} <= {"b", "c"}
    assert ids(recommender.recommend(["a"], without=(), most=1)) == ["c"]


async def test_memory_is_bounded_and_old_products_are_forgotten():
    """Of a shop with more products than are kept only those of the newest steps remain."""
    recommender = Recommender(most_steps=20, most_products=10)
    for at in range(100):
        recommender.learn(*seen(f"s{at // 2}", f"p{at}"))
    await recommender.refresh()

    assert set(ids(recommender.recommend([], without=(), most=99))) == {f"p{at}" for at in range(80, 100)}
    assert ids(recommender.recommend(["p98"], without=(), most=1)) == ["p99"]


def test_a_line_carries_the_last_price_that_was_seen():
    """A recommended line costs what the product cost when it was last seen; unpriced products are left out."""
    recommender = learnt(["tent", "stove", "gum"])
    asyncio.run(recommender.refresh())
    eur = lambda amount: Money(amount=amount, currency="EUR")  # noqa: E731
    line = CartLine(product_id="tent", quantity=3, price=eur(9000), name="Tent")
    recommender.learn(CartUpdated(cart_id="c", visitor_id="v", lines=(line,)))
    recommender.learn(ProductViewed(visitor_id="v", product_id="tent", price=eur(8000), brand="Acme"))
    recommender.learn(ProductViewed(visitor_id="v", product_id="gum"))

    (found,) = recommender.recommend([], without=(), most=3, priced=True)

    assert (found.product_id, found.price, found.name, found.brand) == (
        "tent",
        eur(8000),
        "Tent",
        "Acme",
    )
