"""Recommendations follow what shoppers see together, say why, and never show what one has or cannot have."""

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import Mesh, Money
from mesh.envelope import Received
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.product import ProductListed
from ml.clickstream.steps import step_of
from ml.models.blend import WEIGHTS
from ml.recommendations.catalogue import Catalogue
from ml.recommendations.index_process import IndexProcess, IndexProcessFailed
from ml.recommendations.recommender import Recommender
from ml.recommendations.selection import Selection
from ml.recommendations.session_index import MOST_OF_CATEGORY

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
EUR = [Money(amount=amount, currency="EUR") for amount in range(10)]


def received(happened, id_, at=0):
    """An event as a handler is given it."""
    return Received(
        event=happened, id=id_, time=NOW + timedelta(seconds=at), stored=NOW, region="eu", sequence=1, subject=""
    )


def see(recommender, visitor, *products, **more):
    """A visitor looks at products, one after the other."""
    for at, product in enumerate(products):
        viewed = ProductViewed(visitor_id=visitor, session_id=f"of-{visitor}", product_id=product, **more)
        recommender.learn(viewed, step_of(received(viewed, f"{visitor}-{product}-{at}", at)))


def learnt(*visits, **sizes):
    """A recommender that knows these visits and has an index over them."""
    recommender = Recommender(**({"most_steps": 1000, "most_products": 100} | sizes))
    for at, products in enumerate(visits):
        see(recommender, f"v{at}", *products)
    asyncio.run(recommender.refresh())
    return recommender


def products(recommendations):
    return [one.product_id for one in recommendations]


def test_what_was_seen_together_comes_first():
    """Who saw the tent is shown what others saw with the tent, most shared first, and never the tent again."""
    recommender = learnt(["tent", "stove", "lamp"], ["tent", "stove"], ["tent", "lamp"], ["tent", "stove"], ["boots"])

    assert products(recommender.recommend(["tent"], exclude=(), most=3)) == ["stove", "lamp", "boots"]


def test_each_product_says_why_it_is_shown():
    """Reasons are words for shoppers, and parts for other languages: kind, beside what, by how many."""
    recommender = learnt(["tent", "stove"], ["tent", "stove"], ["tent", "stove"], ["lamp", "torch"], ["torch"])
    for product, name, category in (
        ("tent", "Tent Pro", "camping"),
        ("lamp", "Ada", "lamps"),
        ("torch", "Bo", "lamps"),
    ):
        recommender.learn(ProductListed(product_id=product, name=name, category=category))
    see(recommender, "v9", *["torch"] * 30)
    asyncio.run(recommender.refresh())

    (together, popular) = recommender.recommend(["tent"], exclude=(), most=2)
    (following,) = recommender.recommend(["lamp"], exclude=(), most=1)
    (again,) = recommender.recommend(["stove", "lamp"], exclude=("torch", "tent"), most=1)

    assert (together.product_id, together.reason) == ("stove", "viewed together with Tent Pro by 3 shoppers")
    assert (together.kind, together.with_product, together.shoppers) == ("together", "Tent Pro", 3)
    assert (popular.product_id, popular.kind, popular.reason) == ("torch", "popular", "popular in the shop")
    assert (following.product_id, following.reason) == ("torch", "often next after Ada")
    assert (again.product_id, again.reason) == ("lamp", "you looked at it before")


def test_one_shopper_who_comes_again_is_one_shopper():
    """Reasons count people, not visits."""
    recommender = Recommender(most_steps=100, most_products=10)
    for visit in range(5):
        for product in ("tent", "stove"):
            viewed = ProductViewed(visitor_id="ada", session_id=f"s{visit}", product_id=product)
            recommender.learn(viewed, step_of(received(viewed, f"{visit}{product}")))
    see(recommender, "bob", "tent", "stove")
    asyncio.run(recommender.refresh())

    (found,) = recommender.recommend(["tent"], exclude=(), most=1)

    assert found.shoppers == 2


def test_who_is_unknown_climbs_down_the_ladder():
    """Session items first, then the categories of what was seen, then what the whole shop likes."""
    recommender = learnt(
        ["tent", "stove"], *(["torch"] for _ in range(5)), *(["mug"] for _ in range(9)), ["lantern"], ["lantern"]
    )
    for product, category in (("new lamp", "lamps"), ("lantern", "lamps"), ("torch", "lamps"), ("mug", "kitchen")):
        recommender.learn(ProductListed(product_id=product, category=category))
    see(recommender, "late", *["tent", "stove"] * 15)
    asyncio.run(recommender.refresh())

    nothing_seen = recommender.recommend([], exclude={"tent", "stove"}, most=1)
    new_product = recommender.recommend(["new lamp"], exclude=(), most=3)
    known = recommender.recommend(["tent"], exclude=(), most=1)

    assert [(one.product_id, one.kind) for one in nothing_seen] == [("mug", "popular")]
    assert [(one.product_id, one.reason) for one in new_product[:2]] == [
        ("torch", "popular in lamps"),
        ("lantern", "popular in lamps"),
    ]
    assert new_product[2].kind == "popular"
    assert [(one.product_id, one.kind) for one in known] == [("stove", "together")]


def test_an_empty_log_recommends_nothing():
    """Before anything happened there is nothing to recommend and nothing fails, nor after an empty cart."""
    recommender = Recommender()
    cart = CartUpdated(cart_id="c", visitor_id="v", lines=())

    recommender.learn(cart, step_of(received(cart, "e")))

    assert asyncio.run(recommender.refresh()) is False
    assert recommender.recommend(["p"], exclude=(), most=3) == ()


def test_one_event_is_enough_to_be_popular():
    """After one view that product is shown to others, and not to who is looking at it."""
    recommender = learnt(["tent"])

    assert products(recommender.recommend([], exclude=(), most=3)) == ["tent"]
    assert recommender.recommend(["tent"], exclude=(), most=3) == ()


def test_variants_of_one_product_are_shown_once():
    """Of five colours of one shoe one is shown, and none beside the one that was just seen."""
    shoes = [f"shoe-{colour}" for colour in ("red", "blue", "green", "black", "white")]
    recommender = learnt(*([*shoes, "sock", "lace"] for _ in range(5)))
    for shoe in shoes:
        recommender.learn(ProductListed(product_id=shoe, group="shoe"))

    beside_sock = products(recommender.recommend(["sock"], exclude=(), most=4))
    beside_shoe = products(recommender.recommend(["shoe-red"], exclude=(), most=4))

    assert sorted(product.partition("-")[0] for product in beside_sock) == ["lace", "shoe"]
    assert sorted(beside_shoe) == ["lace", "sock"]


def test_a_product_that_changes_its_group_leaves_its_variants():
    """Variants are those of the newest listings; of a product that was forgotten none are known."""
    catalogue = Catalogue(most=3)
    for product, group in (("a", "shoe"), ("b", "shoe"), ("c", "shoe"), ("b", "boot"), ("d", "boot")):
        catalogue.learn(ProductListed(product_id=product, group=group))

    assert [catalogue.family(product) for product in "abcd"] == [None, "boot", "shoe", "boot"]


def test_without_groups_long_names_tell_variants():
    """Products of one brand and category whose long names differ in the last word only are variants."""
    recommender = learnt(*(["a", "b", "c", "hat"] for _ in range(5)))
    for product, name in (("a", "Trail Runner Red"), ("b", "Trail Runner Blue"), ("c", "Trail Sandal Blue")):
        recommender.learn(ProductListed(product_id=product, name=name, brand="Acme", category="shoes"))

    found = products(recommender.recommend(["hat"], exclude=(), most=4))

    assert len({"a", "b"} & set(found)) == 1
    assert "c" in found


def test_no_category_takes_all_places_while_there_are_others():
    """Half of the places go to one category at most; where nothing else is left, it fills the rest."""
    lamps = [f"lamp{at}" for at in range(6)]
    recommender = learnt(*([*lamps] for _ in range(9)), ["mug", "plate"], ["plate", "mug"])
    for product in [*lamps, "new"]:
        recommender.learn(ProductListed(product_id=product, category="lamps"))
    recommender.learn(ProductListed(product_id="mug", category="kitchen"))

    found = recommender.recommend(["lamp0"], exclude=("lamp0",), most=4)
    only_lamps = recommender.recommend(["lamp0"], exclude=("lamp0", "mug", "plate"), most=4)

    assert [one.category for one in found].count("lamps") == 2
    assert [one.category for one in only_lamps] == ["lamps"] * 4


@pytest.mark.parametrize("size", [20, 4_000])
def test_what_a_query_looks_at_does_not_grow_with_the_catalogue(size, monkeypatch):
    """However many products there are, all of one category and most of them variants: a bounded number is looked at."""
    recommender = learnt(*([f"p{at}", f"p{at + 1}"] for at in range(size)), most_steps=20_000, most_products=9_000)
    for at in range(size + 1):
        recommender.learn(ProductListed(product_id=f"p{at}", category="lamps", group="all" if at > 9 else None))
    see(recommender, "late", *["p1", "p2"] * size)
    asyncio.run(recommender.refresh())
    looked_at, consider = [], Selection.consider
    monkeypatch.setattr(Selection, "consider", lambda self, one: looked_at.append(one) or consider(self, one))

    found = recommender.recommend(["p1", "p2"], exclude=(), most=4)

    assert len(found) == 4
    assert len(looked_at) <= 2 * MOST_OF_CATEGORY + 30


SHOP = [f"p{at}" for at in range(8)]
some = st.sets(st.sampled_from(SHOP))


@given(
    st.lists(st.lists(st.sampled_from(SHOP), min_size=1, max_size=5), min_size=1, max_size=8),
    st.lists(st.sampled_from(SHOP), max_size=4),
    some,
    some,
    some,
    st.booleans(),
)
def test_nothing_is_shown_that_must_not_be(visits, seen, exclude, sold_out, hidden, priced):
    """Never what was bought, is sold out or hidden, is being looked at, has no price where one is needed, or twice."""
    recommender = learnt(*visits)
    for at, product in enumerate(SHOP):
        recommender.learn(
            ProductListed(
                product_id=product,
                available=product not in sold_out,
                recommendable=product not in hidden,
                price=EUR[at] if at % 2 else None,
            )
        )

    found = recommender.recommend(seen, exclude=exclude, most=5, priced=priced)

    shown = products(found)
    assert len(shown) == len(set(shown)) <= 5
    assert not set(shown) & (exclude | sold_out | hidden | set(seen[:1]))
    assert not priced or all(one.price for one in found)
    allowed = {product for visit in visits for product in visit} - exclude - sold_out - hidden - set(seen[:1])
    allowed = {product for product in allowed if not priced or int(product[1:]) % 2}
    assert len(shown) == min(5, len(allowed))


def test_what_is_back_in_stock_is_shown_again():
    """The newest word of the shop counts."""
    recommender = learnt(["tent", "stove"])
    recommender.learn(ProductListed(product_id="stove", available=False))
    assert recommender.recommend(["tent"], exclude=(), most=1) == ()

    recommender.learn(ProductListed(product_id="stove"))

    assert products(recommender.recommend(["tent"], exclude=(), most=1)) == ["stove"]


async def test_a_new_process_knows_what_is_sold_out(memory_broker):
    """Listings are read from the log at the start, the newest counts, and what is consumed meanwhile counts more."""
    mesh = Mesh(memory_broker, "gateway")
    for product, available in (("a", False), ("b", False), ("b", True), ("c", True)):
        await mesh.publish(ProductListed(product_id=product, available=available))
    catalogue = Recommender().catalogue
    catalogue.learn(ProductListed(product_id="c", available=False))

    await catalogue.read(mesh)

    assert [catalogue.withholds(product) for product in ("a", "b", "c", "d")] == [True, False, True, False]


def test_what_is_known_of_a_product_comes_with_it():
    """Price, name and brand are as they were last said; a listing without a price keeps the one that was seen."""
    recommender = learnt(["tent", "stove"])
    line = CartLine(product_id="tent", quantity=3, price=EUR[9], name="Tent", image="https://shop.example/tent.jpg")
    recommender.learn(CartUpdated(cart_id="c", visitor_id="v", lines=(line,)))
    recommender.learn(ProductViewed(visitor_id="v", product_id="tent", price=EUR[8], brand="Acme"))
    recommender.learn(ProductListed(product_id="tent", name="Tent Pro", url="https://shop.example/tent"))

    (found,) = recommender.recommend(["stove"], exclude=(), most=1, priced=True)

    assert (found.price, found.name, found.brand) == (EUR[8], "Tent Pro", "Acme")
    assert (found.image, found.url) == ("https://shop.example/tent.jpg", "https://shop.example/tent")


async def test_today_is_seen_at_the_next_refresh():
    """A little news is enough for a new index; a session that goes on counts as one, with what it saw before."""
    recommender = Recommender(most_steps=10_000, most_products=100)
    for at in range(500):
        see(recommender, f"v{at}", "a", "b")
    see(recommender, "today", "tent")
    await recommender.refresh()
    for at in range(30):
        see(recommender, f"new{at}", "tent", "stove")
    see(recommender, "today", "canopy")

    assert await recommender.refresh() is True

    found = {one.product_id: one for one in recommender.recommend(["tent"], exclude=("a", "b"), most=4)}
    assert found["stove"].shoppers == 30
    assert found["canopy"].kind == "next"


async def test_weights_follow_what_shoppers_do(monkeypatch):
    """Once there is enough to tune, what the newest sessions did counts: here everyone goes back."""
    monkeypatch.setattr("ml.recommendations.recommender.LEAST_TUNED", 600)
    recommender = Recommender(most_steps=2_000, most_products=100)
    for at in range(300):
        first, second = f"p{at % 20}", f"p{(at * 7 + 1) % 20}"
        see(recommender, f"v{at}", *([first, second] * 2 if first != second else [first]))

    await recommender.refresh()

    assert recommender.index.weights["one back"] > WEIGHTS["one back"]
    assert recommender.recommend(["p2", "p3"], exclude=(), most=1)[0].kind == "seen"


async def test_what_attracts_more_than_its_place_explains_comes_first():
    """Given two products that are seen alike, the one that is clicked more when shown stands first."""
    recommender = Recommender(most_steps=1000, most_products=100)
    for n, others in enumerate((("stove", "lamp"), ("lamp", "stove")) * 3):
        see(recommender, f"v{n}", "tent", *others)

    orders = []
    for appeal in ({"stove": 1.0, "lamp": -1.0}, {"stove": -1.0, "lamp": 1.0}):
        recommender.weigh(WEIGHTS, appeal | {"gone": 3.0})
        assert await recommender.refresh()
        orders.append([products(recommender.recommend(seen, exclude=("tent",), most=2)) for seen in (["tent"], ())])

    assert orders == [[["stove", "lamp"]] * 2, [["lamp", "stove"]] * 2]


async def test_who_is_forgotten_is_in_no_later_index():
    """Their clicks leave what the index is built of; where nobody is left there is none."""
    recommender = Recommender(most_steps=4, most_products=100)
    for visitor in ("ada", "bob", "ada"):
        see(recommender, visitor, "tent", f"lamp of {visitor}")
    await recommender.refresh()
    before = products(recommender.recommend(["tent"], exclude=(), most=5))

    recommender.forget("ada")
    await recommender.refresh()
    after = products(recommender.recommend(["tent"], exclude=(), most=5))
    recommender.forget("bob")
    await recommender.refresh()

    assert (sorted(before), after) == (["lamp of ada", "lamp of bob"], ["lamp of bob"])
    assert recommender.recommend(["tent"], exclude=(), most=5) == ()


async def test_serving_goes_on_while_the_index_is_rebuilt():
    """A query during a rebuild sees the old index or the new one, never half of one."""
    recommender = Recommender(most_steps=1000, most_products=100)
    for at in range(30):
        see(recommender, f"v{at}", "a", "b")
    await recommender.refresh()
    for at in range(50):
        see(recommender, f"n{at}", "a", "c")

    rebuilding = asyncio.create_task(recommender.refresh())
    during = []
    while not rebuilding.done():
        during.append(recommender.recommend(["a"], exclude=(), most=1)[0].product_id)
        await asyncio.sleep(0)

    assert await rebuilding is True
    assert set(during) <= {"b", "c"}
    assert products(recommender.recommend(["a"], exclude=(), most=1)) == ["c"]


async def test_a_build_that_fails_leaves_the_old_index(monkeypatch):
    """Whatever goes wrong while building, what served before goes on serving, and the next try starts over."""
    recommender = Recommender(most_steps=1000, most_products=100)
    see(recommender, "v", "a", "b")
    await recommender.refresh()
    see(recommender, "w", *["a", "c"] * 30)
    with monkeypatch.context() as broken:
        broken.setattr("ml.recommendations.session_index.Build.of", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await recommender.refresh()
    assert products(recommender.recommend(["a"], exclude=(), most=1)) == ["b"]

    assert await recommender.refresh() is True

    assert set(products(recommender.recommend(["a"], exclude=(), most=2))) == {"b", "c"}


def test_memory_is_bounded_and_old_products_are_forgotten():
    """Of a shop with more products than are kept only those of the newest steps remain."""
    recommender = Recommender(most_steps=20, most_products=10)
    for at in range(50):
        see(recommender, f"v{at}", f"p{2 * at}", f"p{2 * at + 1}")
    asyncio.run(recommender.refresh())

    assert set(products(recommender.recommend([], exclude=(), most=99))) == {f"p{at}" for at in range(80, 100)}
    assert products(recommender.recommend(["p98"], exclude=(), most=1)) == ["p99"]


def test_a_visitor_with_a_hundred_thousand_events_changes_nothing_for_others():
    """An endless session is held as far as the ring goes; who saw the tent still sees the stove."""
    recommender = Recommender(most_steps=2_000, most_products=100)
    see(recommender, "endless", *(f"p{at % 90}" for at in range(100_000)))
    for at in range(20):
        see(recommender, f"v{at}", "tent", "stove")
    asyncio.run(recommender.refresh())

    assert products(recommender.recommend(["tent"], exclude=(), most=1)) == ["stove"]
    assert len(recommender.recommend([f"p{at % 90}" for at in range(100_000)], exclude=(), most=4)) == 4


async def test_an_index_process_builds_what_this_process_would():
    """The same clicks give the same products and reasons; the arrays lie in another process's memory file."""
    build = IndexProcess()
    here, there = (
        Recommender(most_steps=2_000, most_products=100),
        Recommender(most_steps=2_000, most_products=100, build=build),
    )
    try:
        for recommender in (here, there):
            for at in range(200):
                see(recommender, f"v{at}", f"p{at % 20}", f"p{(at * 7 + 1) % 20}", f"p{(at * 3 + 2) % 20}")
            await recommender.refresh()

        for at in range(20):
            seen = [f"p{at}", f"p{(at + 5) % 20}"]
            assert here.recommend(seen, exclude=(), most=5) == there.recommend(seen, exclude=(), most=5)
        assert build.pid is not None
    finally:
        build.close()


async def test_an_index_process_that_dies_is_replaced():
    """What served before goes on serving, and the next refresh has a new process build."""
    build = IndexProcess()
    recommender = Recommender(most_steps=1_000, most_products=100, build=build)
    try:
        see(recommender, "v", "a", "b")
        await recommender.refresh()
        died = build.pid
        os.kill(died, signal.SIGKILL)
        see(recommender, "w", *["a", "c"] * 30)
        with pytest.raises(IndexProcessFailed):
            await recommender.refresh()
        assert products(recommender.recommend(["a"], exclude=(), most=1)) == ["b"]

        assert await recommender.refresh() is True

        assert build.pid not in (None, died)
        assert set(products(recommender.recommend(["a"], exclude=(), most=2))) == {"b", "c"}
    finally:
        build.close()
