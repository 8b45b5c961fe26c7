"""Rehearsals: past carts decided again end as they really did, and differently where the journey differs."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.events.cart import CartConverted, CartLine
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderPlaced
from mesh.money import Money
from mesh.publish import Draft
from notifications.decision_context import DecisionContext
from notifications.journeys import parse
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.rehearsal.past import read_past
from notifications.rehearsal.rehearse import Rehearsal
from notifications.rehearsal.report import report
from notifications.templates.live import LiveTemplates
from tests.past_carts import START, USUAL, arrive, leave

CARTS = 60


@pytest.fixture
async def shop(regions):
    """Sixty carts of twenty shoppers, of whom each fourth allowed no mail, left in three days and answered."""
    mesh = Mesh(regions.broker("us"), "offers")
    await arrive(mesh)
    live = LiveJourneys([LiveJourney(journey=parse("sale", USUAL, {}), revision=1)])
    context = DecisionContext(journeys=live, templates=LiveTemplates(), secret="secret" * 4)
    for number in range(CARTS):
        await leave(mesh, context, number)
    yield mesh
    await mesh.broker.drain()


async def rehearse(mesh, text, *, name="sale"):
    """The report on a journey of this text, and what became of each cart."""
    until = datetime.now(UTC)
    past = await read_past(mesh, until - timedelta(days=7), until)
    journey = parse(name, text, {})
    rehearsal = Rehearsal(past, journey)
    for _ in rehearsal.steps():
        pass
    results = list(rehearsal.results())
    return report(past, journey, results), results


async def test_the_journey_in_force_would_do_what_it_did(shop):
    """Every cart, with the same checks and values: by the same rules, from what was recorded."""
    found, results = await rehearse(shop, USUAL)
    real = {one.event.cart_id: one.event async for one in shop.read(OfferDecided)}

    assert found.carts == CARTS
    assert (found.compared, found.same, found.changes) == (CARTS, CARTS, ())
    assert Counter(one.outcome for one in real.values()) == {"approved": 30, "dropped": 30}
    for one in results:
        (again,) = one.decisions
        before = real[again.cart_id]
        assert (again.outcome, again.reason, again.checks) == (before.outcome, before.reason, before.checks)
    assert found.offers == 30
    assert {(one.reason, one.count) for one in found.reasons} == {("no consent", 15), ("frequency cap", 15)}
    assert (found.capped, found.shoppers) == (15, 15)


async def test_what_differs_is_said_cart_by_cart(shop):
    """A minimum value and a higher cap: some get an offer only now, others not any more."""
    found, _ = await rehearse(shop, USUAL.replace("cap = 2", "cap = 3") + 'minimum_value = ["30 EUR"]\n')

    assert (found.more, found.fewer, found.offers) == (15, 15, 30)
    assert found.same == CARTS - 30
    (newest, *_) = found.changes
    assert (newest.before.reason, newest.after.outcome) == ("frequency cap", "approved")
    assert {one.reason for one in found.reasons} == {"no consent", "cart below the minimum value"}


async def test_a_region_where_the_journey_is_not_on_gets_nothing(shop):
    """Carts of the region end as those of a journey that is off; where it is on nothing changes."""
    elsewhere, _ = await rehearse(shop, 'regions = ["eu"]\n' + USUAL)
    here, _ = await rehearse(shop, 'regions = ["us"]\n' + USUAL)

    assert (elsewhere.offers, elsewhere.fewer) == (0, 30)
    assert [(one.reason, one.count) for one in elsewhere.reasons] == [("journey stopped", CARTS)]
    assert (here.offers, here.same) == (30, CARTS)


async def test_what_discounts_cost_is_what_all_of_them_come_to(shop):
    """Ten percent of each cart that gets one."""
    found, results = await rehearse(shop, USUAL)

    sent = [one.cart.abandoned.event.total.amount for one in results if one.decisions[0].outcome == "approved"]
    assert found.cost == (Money(amount=sum(round(amount / 10) for amount in sent), currency="EUR"),)
    assert [one.cart_id for one in found.examples[:1]] == ["c39"]


async def test_later_steps_follow_until_somebody_buys(shop):
    """A second mail an hour later; whoever bought in between, by this or another cart, gets none."""
    bought = START + timedelta(minutes=70 + 30)
    lines = (CartLine(product_id="p1", quantity=1, price=Money(amount=1100, currency="EUR")),)
    await shop.publish(
        Draft(event=CartConverted(cart_id="c1", order_id="o1", visitor_id="v1"), time=bought),
        Draft(
            event=OrderPlaced(order_id="o2", visitor_id="v2", lines=lines, total=lines[0].price),
            time=START + timedelta(minutes=140 + 30),
        ),
    )

    found, results = await rehearse(
        shop, USUAL.replace("cap = 2", "cap = 9") + '[[steps]]\nname = "one"\n[[steps]]\nname = "two"\nafter = "1h"\n'
    )

    ends = {
        one.cart.abandoned.event.cart_id: [(end.step, end.reason or end.outcome) for end in one.final]
        for one in results
    }
    assert ends["c1"] == [("one", "approved"), ("two", "bought")]
    assert ends["c2"] == [("one", "approved"), ("two", "bought")]
    assert ends["c3"] == [("one", "approved"), ("two", "approved")]
    assert {(one.step, one.offers) for one in found.steps} == {("one", 45), ("two", 43)}


async def test_a_journey_that_never_ran_is_compared_with_nothing(shop):
    """And contacts of other journeys count for its cap."""
    found, _ = await rehearse(shop, USUAL, name="other")

    assert found.compared == 0
    assert found.capped == 15


async def test_nobody_left_a_cart(regions):
    """An empty report, no error."""
    mesh = Mesh(regions.broker("us"), "offers")
    found, _ = await rehearse(mesh, USUAL)
    await mesh.broker.drain()

    assert (found.carts, found.offers, found.examples) == (0, 0, ())
