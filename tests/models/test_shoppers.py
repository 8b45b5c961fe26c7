"""Memory of shoppers is bounded, and what it lacks is looked up or done without."""

import asyncio
from datetime import UTC, datetime

import polars as pl
import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.envelope import Received
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderPlaced
from mesh.publish import Draft
from ml.clickstream.steps import Step, step_of
from ml.features import names
from ml.scoring.base_rates import PRIOR, BaseRates
from ml.scoring.shopper import MOST_STEPS, Shopper
from ml.scoring.shopper_memory import KEPT_STEPS, SHOPPERS, Shoppers
from ml.training import dataset

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def mesh():
    return Mesh(MemoryMesh("us").broker("us"), "scoring")


def step(at, kind="view", **more):
    return Step(NOW + at, f"e{at}", kind, "s1", **more)


def known(shopper, name):
    return dict(zip(names(), shopper.vector(NOW + 1e6, "s1"), strict=True))[name]


async def test_a_forgotten_visitor_is_read_from_the_log(mesh):
    """Given more visitors than memory holds, who was forgotten is scored from what the log says."""
    viewed = ProductViewed(visitor_id="v1", product_id="p1", session_id="s1")
    await mesh.publish(Draft(event=viewed, time=datetime.fromtimestamp(NOW, UTC)))
    shoppers = Shoppers(mesh, most=2)
    shoppers.settle()
    for visitor in ("v1", "v2", "v3"):
        shoppers.learn(visitor, step(1))
    assert not shoppers.complete

    await shoppers.look_up(["v1"])

    assert known(shoppers.of("v1"), "views") == 1


async def test_a_long_history_read_back_is_what_the_log_says(mesh):
    """Given a visitor with more steps than memory keeps, after a restart their features are those of the whole log."""
    euro = Money(amount=150, currency="EUR")
    log = []
    for n in range(400):
        who = {"visitor_id": "v1", "session_id": f"s{n // 60}"}
        line = CartLine(product_id=f"p{n % 9}", quantity=1, price=euro)
        viewed = ProductViewed(product_id=f"p{n % 9}", price=euro, utc_offset=120, **who)
        filled = CartUpdated(cart_id="c", lines=(line,) * (n % 3), **who)
        bought = OrderPlaced(order_id=f"o{n}", lines=(line,), total=euro, **who)
        happened = bought if n % 100 == 99 else filled if n % 5 == 4 else viewed
        log.append(Draft(event=happened, time=datetime.fromtimestamp(NOW + 40 * n, UTC)))
    for draft in log:
        await mesh.publish(draft)
    shoppers = Shoppers(mesh, most=10)
    await shoppers.keep({"v1": [step_of(one) async for one in mesh.read(CartUpdated, OrderPlaced)]})

    await shoppers.look_up(["v1"])
    evidence = shoppers.of("v1").evidence(NOW + 40 * 400, "s6")
    asked = pl.DataFrame({"visitor": ["v1"], "session": ["s6"], "at": [evidence.at.timestamp()]})
    answer = dataset.at_moment(await dataset.from_mesh(mesh), asked)

    assert answer["steps"].item() == evidence.steps > MOST_STEPS
    assert answer.select(names()).row(0) == pytest.approx(evidence.values, rel=1e-9)


async def test_a_log_that_answers_late_delays_no_score(mesh, monkeypatch):
    """Given a log that does not answer, a look-up ends after its patience with what is known."""
    never = asyncio.Event()
    monkeypatch.setattr(mesh, "history", lambda *_: never.wait())
    shoppers = Shoppers(mesh, most=10)
    shoppers.learn("v1", step(1))

    async with asyncio.timeout(60):
        await shoppers.look_up(["v1"])

    assert known(shoppers.of("v1"), "views") == 1


async def test_books_are_kept_once_and_bounded(mesh):
    """The same steps kept twice, by two replicas at once, are there once; of many the newest remain."""
    one, other = Shoppers(mesh, most=10), Shoppers(mesh, most=10)
    steps = [step(at, "cart", products=("p1",)) for at in range(KEPT_STEPS + 10)]

    await asyncio.gather(one.keep({"v1": steps[:25]}), other.keep({"v1": steps[20:]}), one.keep({"v1": steps[:25]}))

    kept = (await mesh.state(SHOPPERS).get("v1")).steps
    assert [one.id for one in kept] == [one.id for one in steps[-KEPT_STEPS:]]


def test_a_visitor_with_very_many_events_costs_no_more_memory():
    """Counts go on for a visitor with 100,000 events of 100,000 products, while only the newest steps are kept."""
    shopper = Shopper([step(0)])
    shopper.vector(NOW, "s1")

    for at in range(1, 100_000):
        shopper.learn(step(at, product=f"p{at}"))

    assert len(shopper.steps) == len(shopper.known) == MOST_STEPS
    assert (known(shopper, "views"), known(shopper, "unique_products")) == (100_000, 256)
    assert shopper.learn(step(3)) is False


async def test_a_long_history_blocks_nobody_and_is_there_for_the_next_score(mesh, monkeypatch):
    """Given a visitor with 20,000 events in the log, reading them lets others go on and is finished beside them."""
    viewed = ProductViewed(visitor_id="v1", product_id="p1", session_id="s1")
    log = [
        Received(event=viewed, id=f"e{n:06}", time=at, stored=at, region="us", sequence=n, subject="")
        for n in range(20_000)
        for at in [datetime.fromtimestamp(NOW + n, UTC)]
    ]

    async def history(key, *domains):
        return log

    monkeypatch.setattr(mesh, "history", history)
    shoppers = Shoppers(mesh, most=10)
    shoppers.learn("v1", step(50_000))
    turns = 0

    async def others():
        nonlocal turns
        while shoppers.of("v1").evidence(NOW, "s1").steps == 1:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(shoppers.look_up(["v1"]), others())

    assert turns > 20
    assert known(shoppers.of("v1"), "views") == 20_001
    assert len(shoppers.of("v1").steps) == MOST_STEPS


def test_base_rates_are_counted_over_a_prior():
    """A rate begins at its prior and moves to what is counted; the same event again counts nothing."""
    rates = BaseRates()
    assert rates.rate(carted=True) == PRIOR["cart"][0]

    line = CartLine(product_id="p", quantity=1, price=Money(amount=1, currency="EUR"))
    for at in range(20):
        rates.learn(CartUpdated(cart_id=f"c{at}", visitor_id=f"v{at}", lines=(line,)), NOW)
    bought = OrderPlaced(order_id="o", visitor_id="v1", cart_id="c1", lines=(line,), total=line.price)
    rates.learn(bought, NOW)
    rates.learn(bought, NOW)

    prior, weight = PRIOR["cart"]
    assert rates.rate(carted=True) == (prior * weight + 1) / (weight + 20)
    assert rates.reasons(carted=True)[1].text == "1 of 20 carts so far ended in a purchase"
