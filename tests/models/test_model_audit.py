"""The audit proves that what was served is what the log gives, and finds what is not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.interaction import ProductSearched, ProductViewed
from mesh.events.order import OrderPlaced
from mesh.events.user import UserScored
from mesh.publish import Draft
from mesh.runtime.run import running
from ml.lifecycle.audit import audit
from ml.scoring.service import service

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PRICE = Money(amount=1999, currency="EUR")
LINE = CartLine(product_id="p1", quantity=2, price=PRICE)
SHOPPERS = 12


@pytest.fixture
def regions():
    return MemoryMesh("us")


@pytest.fixture
def shop(regions):
    return Mesh(regions.broker("us"), "gateway")


def visit(number, day=0):
    """What a shopper does on a day, and the cart they leave."""
    who = {"visitor_id": f"v{number}", "session_id": f"s{number}-{day}"}
    at = NOW + timedelta(days=day, seconds=17 * number)
    for view in range(number % 5 + 1):
        viewed = ProductViewed(product_id=f"p{view % 2}", price=PRICE, device="mobile", utc_offset=120, **who)
        yield Draft(event=viewed, time=at + timedelta(seconds=31.4159 * view))
    yield Draft(event=ProductSearched(query="tent", **who), time=at + timedelta(minutes=4))
    cart = {"cart_id": f"c{number}-{day}", "lines": (LINE,), **who}
    yield Draft(event=CartUpdated(**cart), time=at + timedelta(minutes=5))
    if number % 3 == 0:
        order = OrderPlaced(order_id=f"o{number}-{day}", lines=(LINE,), total=PRICE, cart_id=cart["cart_id"], **who)
        yield Draft(event=order, time=at + timedelta(minutes=6))
        return
    due = at + timedelta(minutes=35)
    yield Draft(event=CartAbandoned(total=PRICE, left_at=at, due=due, **cart), time=due)


async def served(regions, shop, eventually, days=2):
    """Shoppers come and are scored; returns how many carts and visits were."""
    carts, expected = days * sum(number % 3 != 0 for number in range(SHOPPERS)), 0
    async with running(service, Mesh(regions.broker("us"), "scoring")) as run:
        scorer = next(value for kind, value in run.provided.items() if kind.__name__ == "Scorer")

        def all_learnt():
            return sum(len(scorer.shoppers.of(f"v{number}").known) for number in range(SHOPPERS)) == expected

        for day in range(days):
            drafts = [draft for number in range(SHOPPERS) for draft in visit(number, day)]
            left = [draft for draft in drafts if isinstance(draft.event, CartAbandoned)]
            for draft in drafts:
                if draft not in left:
                    await shop.publish(draft)
            expected += len(drafts) - len(left)
            await eventually(all_learnt)
            await asyncio.gather(*(shop.publish(draft) for draft in left))

        async def all_scored():
            return len([1 async for _ in shop.read(CartScored)]) == carts

        await eventually(all_scored)
    return carts, len([1 async for _ in shop.read(UserScored)])


async def test_every_score_is_what_the_log_gives(regions, shop, eventually):
    """Features of carts and visits, served on line, are computed again off line and equal."""
    carts, visits = await served(regions, shop, eventually)

    found = await audit(shop, sample=1000)

    assert (found.checked, found.unexplained, found.outdated) == (carts + visits, 0, 0)
    assert found.equal + found.explained == found.checked
    assert found.equal >= carts
    assert found.lines()[0].startswith(f"us: {found.checked} scores computed again from the log: {found.equal} equal")


async def test_the_sample_is_the_newest(regions, shop, eventually):
    """Of carts and of visits that many each."""
    await served(regions, shop, eventually, days=1)

    assert (await audit(shop, sample=3)).checked == 6


async def test_a_score_that_was_made_up_is_found(regions, shop, eventually):
    """One feature off by a millionth has no cause in the log: the audit names the cart and the feature."""
    from ml.features import names

    await served(regions, shop, eventually, days=1)
    honest = (await shop.last(CartScored, "c1-0")).event
    at = names().index("views")
    values = tuple(value + 1e-6 * (place == at) for place, value in enumerate(honest.evidence.values))
    await shop.publish(replace(honest, evidence=replace(honest.evidence, values=values)))

    found = await audit(shop, sample=1000)

    (difference,) = [one for one in found.differences if one.cause is None]
    assert (found.unexplained, difference.kind, difference.key) == (1, "cart", "c1-0")
    assert [name for name, _, _ in difference.features] == ["views"]
    assert "no cause" in found.lines()[1]


async def test_a_step_that_was_stored_later_is_a_cause(regions, shop, eventually):
    """A view of before the score that reached the log after it explains the difference."""
    await served(regions, shop, eventually, days=1)
    late = ProductViewed(product_id="p9", price=PRICE, visitor_id="v1", session_id="s1-0")
    await shop.publish(Draft(event=late, time=NOW + timedelta(minutes=3)))

    found = await audit(shop, sample=1000)

    causes = {one.key: one.cause for one in found.differences if one.kind == "cart"}
    assert found.unexplained == 0
    assert causes == {"c1-0": "1 of its steps were stored after the score"}


@pytest.mark.parametrize("missed", [3, 1], ids=["newest", "in the middle"])
async def test_a_step_that_was_on_its_way_is_a_cause(shop, missed):
    """One that was stored just before the score, but not delivered yet, explains it too: another replica had it."""
    from ml.clickstream.steps import step_of
    from ml.scoring.shopper import Shopper

    drafts = list(visit(1))
    for draft in drafts:
        await shop.publish(draft)
    known = Shopper()
    stored = [received async for received in shop.read(ProductViewed, ProductSearched, CartUpdated)]
    for at, received in enumerate(sorted(stored, key=lambda one: one.time)):
        if at != missed:
            known.learn(step_of(received))
    (left,) = [received async for received in shop.read(CartAbandoned)]
    score = CartScored(
        cart_id="c1-0",
        visitor_id="v1",
        abandonment_id=left.id,
        propensity=0.5,
        model_version="base-rate",
        reasons=(),
        recommended=(),
        evidence=known.evidence(left.event.due.timestamp(), "s1-0"),
    )
    await shop.publish(score)

    found = await audit(shop)

    assert [one.cause for one in found.differences] == ["1 of its steps were still on their way to the scorer"]


async def test_scores_from_other_features_are_counted_apart(regions, shop, eventually):
    """After a release with other features old scores cannot be computed again, and that is said."""
    await served(regions, shop, eventually, days=1)
    honest = (await shop.last(CartScored, "c1-0")).event
    await shop.publish(replace(honest, evidence=replace(honest.evidence, features_digest="another-list")))

    found = await audit(shop, sample=1000)

    assert (found.outdated, found.unexplained) == (1, 0)
    assert "1 more were made from other features" in found.lines()[1]


async def test_an_empty_log_has_nothing_to_prove(shop):
    """No scores, no differences."""
    found = await audit(shop)

    assert (found.checked, found.unexplained) == (0, 0)
