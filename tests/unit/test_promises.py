"""What offers promise: discounts within bounds, codes of a list, and budgets that are never exceeded."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest

from mesh import Mesh, Money
from mesh.discounts import taken_off
from mesh.errors import Conflict, DeclarationError
from mesh.events.budget import BudgetChanged, BudgetLoanGranted, BudgetLoanRequested, BudgetReservationChanged
from mesh.events.cart import CartLine
from mesh.events.code import CodeChanged, Discount
from mesh.events.contact import Contact
from mesh.events.mesh import MeshHeartbeat
from mesh.streams import mesh_stream
from notifications.decision_input import DecisionInput
from notifications.evaluation import evaluate
from notifications.journeys import Journey
from notifications.promises.budget import reserve, settle
from notifications.promises.lending import grant, receive
from notifications.promises.parts import part_of
from notifications.promises.promise import promise
from notifications.promises.terms import discount_of, habit_of
from services.orders.reduced import spread

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def euros(amount):
    return Money(amount=amount, currency="EUR")


def journey(**changes):
    return Journey(**{"name": "sale", "template": "abandoned-cart", "quiet": "", "channels": ("onsite",)} | changes)


def inputs(**changes):
    fields = {"cart": "left", "cart_detail": "", "due": NOW, "total": euros(9000), "person": "ada"}
    return DecisionInput(**fields | changes)


def decided(chosen, given=None):
    given = given or inputs()
    given = msgspec.structs.replace(given, habit=habit_of(given, chosen, NOW))
    return evaluate(given, chosen, NOW)


def test_a_percentage_with_a_budget_takes_off_no_more_than_was_reserved():
    """However large the order is; without a budget it has no bound."""
    bound = discount_of(journey(budget=("100 EUR",)), 10, inputs())

    assert taken_off(bound, euros(50_000)) == euros(900)
    assert taken_off(discount_of(journey(), 10, inputs()), euros(50_000)) == euros(5000)
    assert taken_off(bound, Money(amount=9000, currency="USD")).amount == 0


@pytest.mark.parametrize(
    ("amounts", "outcome", "off"),
    [(("5 EUR",), "approved", 500), (("5 USD",), "approved", None), (("30 EUR",), "dropped", None)],
)
def test_a_fixed_amount_is_judged_as_the_percentage_that_it_is(amounts, outcome, off):
    """Too deep for the cart: no offer. In another currency: a mere reminder."""
    chosen = journey(offer_amounts=amounts)
    evaluation = decided(chosen)

    discount = discount_of(chosen, evaluation.discount_percent, inputs())

    assert evaluation.outcome == outcome
    assert (discount.amounts[0].amount if discount and outcome == "approved" else None) == off


def test_who_was_offered_many_discounts_gets_a_reminder_and_the_check_says_so():
    """Whoever leaves carts for discounts has to wait until the window is over; mere reminders do not count."""
    chosen = journey(discount_habit=2, cap=10)
    lately = [
        Contact(offer_id=f"o{n}", at=NOW - timedelta(days=n), journey="sale", discount=euros(900)) for n in (1, 8)
    ]
    plain = Contact(offer_id="o3", at=NOW - timedelta(days=3))
    old = msgspec.structs.replace(lately[1], at=NOW - timedelta(days=91))

    habitual, first, later = (
        decided(chosen, inputs(contacts=tuple(some))) for some in (lately, [lately[0], plain], [lately[0], old])
    )

    words = {one.name: one.value for one in habitual.checks}["discount habit"]
    assert (habitual.outcome, habitual.discount_percent) == ("approved", 0)
    assert words == "a reminder only: 2 discounts in 90 days, and 2 is the most"
    assert (first.discount_percent, later.discount_percent) == (10, 10)


@pytest.mark.parametrize("given", [{"gift": "tea"}, {"free_shipping": True}])
async def test_a_gift_and_free_shipping_cost_what_the_journey_says(mesh, given):
    """They are reserved of the budget as a discount is, and whoever has had enough discounts gets neither."""
    chosen = journey(**given, offer_cost=("4 EUR",), budget=("100 EUR",), discount_habit=1, cap=9)
    had = Contact(offer_id="o1", at=NOW, journey="sale", discount=euros(0))
    often = inputs(contacts=(had,))
    often = msgspec.structs.replace(often, habit=habit_of(often, chosen, NOW))

    made = await promise(decided(chosen), chosen, "o2", inputs(), mesh, NOW)
    none = await promise(decided(chosen, often), chosen, "o3", often, mesh, NOW)

    assert (made.discount.product_id, made.discount.kind) in [("tea", "gift"), (None, "free_shipping")]
    assert (made.evaluation.outcome, made.cost) == ("approved", euros(400))
    assert (none.evaluation.outcome, none.discount, none.changes) == ("approved", None, ())


async def test_a_shoppers_budget_bounds_what_one_person_is_offered(mesh):
    """What is more than the rest drops the offer; nothing left makes it a reminder."""
    chosen = journey(budget_customer=("20 EUR",), cap=10)
    had = Contact(offer_id="o1", at=NOW, journey="sale", discount=euros(1500))
    rest = inputs(contacts=(had,))
    nothing = inputs(contacts=(msgspec.structs.replace(had, discount=euros(2000)),))

    over = await promise(decided(chosen, rest), chosen, "o2", rest, mesh, NOW)

    assert (over.evaluation.outcome, over.evaluation.reason) == ("dropped", "budget")
    assert over.evaluation.checks[-1].value == "9.00 EUR at most, 5.00 EUR left for this shopper"
    assert decided(chosen, nothing).discount_percent == 0


def test_a_budget_is_divided_without_rest():
    """The parts of all regions add up to the whole."""
    names = ("us", "eu", "ap")
    parts = [part_of(euros(1000), one, names) for one in names]
    assert (sum(parts), max(parts) - min(parts)) == (1000, 1)


async def offer(mesh, chosen, offer_id):
    """A decision's reservation, made again as often as somebody was quicker; whether there was enough."""
    while True:
        made = await reserve(chosen, offer_id, euros(900), mesh, NOW)
        try:
            if made.changes:
                await mesh.publish(*made.changes)
        except Conflict:
            continue
        return made


async def test_two_regions_never_give_away_more_than_the_budget_cut_or_not(regions):
    """Sixty offers at once in each, for which there would be money for eleven: ten are approved, five in each."""
    chosen = journey(budget=("100 EUR",))
    meshes = [Mesh(regions.broker(one), "offers", others=(other,)) for one, other in (("us", "eu"), ("eu", "us"))]
    regions.cut("us", "eu")

    made = await asyncio.gather(*(offer(mesh, chosen, f"{mesh.region}{n}") for mesh in meshes for n in range(60)))

    levels = [(await mesh.last(BudgetChanged, "sale")).event for mesh in meshes]
    assert [one.committed for one in levels] == [(euros(4500),), (euros(4500),)]
    assert sum(one.check.passed for one in made) == 10
    assert next(one.check.value for one in made if not one.check.passed).startswith(
        "9.00 EUR at most, 5.00 EUR left of all"
    )
    for mesh in meshes:
        await mesh.broker.drain()


async def test_a_region_borrows_what_another_has_left_while_it_can_be_heard(regions):
    """Ninety euros for ten offers: all in one region, by loans; delivered twice, and never more than the budget."""
    chosen = journey(budget=("90 EUR",))
    us, eu = [Mesh(regions.broker(one), "offers", others=(other,)) for one, other in (("us", "eu"), ("eu", "us"))]
    now = datetime.now(UTC)
    await eu.publish(MeshHeartbeat(region="eu", at=now))
    seen = {us: 0, eu: 0}

    async def deliver(here, kind, handle):
        """What has arrived, each twice."""
        async for one in here.read(kind, stream=mesh_stream(here.region), after=seen[here]):
            seen[here] = one.sequence
            for _ in range(2):
                await here.publish(*(await handle(one) or [BudgetChanged(journey="other")]))

    async def lend():
        await deliver(eu, BudgetLoanRequested, lambda one: grant(one, chosen, eu))
        await deliver(us, BudgetLoanGranted, lambda one: receive(one, us))

    outcomes = []
    for number in range(11):
        for _ in range(3):
            made = await reserve(chosen, f"o{number}", euros(900), us, now)
            if made.changes:
                await us.publish(*made.changes)
            if made.again is None:
                break
            await lend()
        outcomes.append(made.check.passed)

    ours, theirs = [(await mesh.last(BudgetChanged, "sale")).event for mesh in (us, eu)]
    assert outcomes == [True] * 10 + [False]
    assert (ours.committed, ours.borrowed, theirs.lent) == ((euros(9000),), (euros(4500),), (euros(4500),))
    for mesh in (us, eu):
        await mesh.broker.drain()


async def test_a_days_budget_holds_the_rest_until_the_next_day(mesh):
    """Until midnight UTC; then there is money again."""
    chosen = journey(budget_day=("18 EUR",))

    first, second = [await offer(mesh, chosen, f"o{n}") for n in range(2)]
    tomorrow = await reserve(chosen, "o3", euros(900), mesh, NOW + timedelta(days=1))

    assert (first.check.passed, second.check.passed, tomorrow.check.passed) == (True, False, True)
    assert second.again == datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::3])
async def test_what_was_reserved_is_given_back_once_whatever_order_the_codes_states_come_in(mesh, order):
    """Each delivered twice: the newest counts."""
    chosen = journey(budget=("100 EUR",))
    await offer(mesh, chosen, "o1")
    for state in ("free", "reserved", "redeemed", "expired"):
        await mesh.publish(CodeChanged(code_id="c", code="C", state=state, discount=Discount(), offer_id="o1"))
    states = [one async for one in mesh.read(CodeChanged)]

    spent = 0
    for at in (*order, *order):
        changes = await settle(states[at], mesh)
        if changes:
            await mesh.publish(*changes)
        spent = max(spent, *(one.amount for one in (await mesh.last(BudgetChanged, "sale")).event.spent), 0)

    level = (await mesh.last(BudgetChanged, "sale")).event
    assert (level.committed, level.today, [one.amount for one in level.spent if one.amount]) == (
        (euros(0),),
        (euros(0),),
        [],
    )
    assert (await mesh.last(BudgetReservationChanged, "o1")).event.state == "given_back"


@pytest.mark.parametrize("quantities", [(1, 1), (3,), (2, 5, 1), (7, 7)])
@pytest.mark.parametrize("off", [0, 1, 500, 999])
def test_a_fixed_amount_is_spread_and_never_more_is_taken_off(quantities, off):
    """What is missing is less than one minor unit for each piece; to the cent where a line has one piece."""
    lines = tuple(
        CartLine(product_id=f"p{at}", quantity=quantity, price=euros(499 + 7 * at))
        for at, quantity in enumerate(quantities)
    )
    off = min(off, sum(one.price.amount * one.quantity for one in lines))
    before, after = (sum(one.price.amount * one.quantity for one in some) for some in (lines, spread(lines, off)))

    assert 0 <= off - (before - after) < sum(quantities)
    assert before - after == off or 1 not in quantities


def test_terms_that_contradict_each_other_are_refused():
    """Where they are written."""
    with pytest.raises(DeclarationError, match="offer_amounts"):
        journey(offer_amounts=("5 EUR",), discount_depths=(5,))
    with pytest.raises(DeclarationError, match="gift and free_shipping"):
        journey(gift="tea", free_shipping=True)
    with pytest.raises(DeclarationError, match="discount_habit"):
        journey(discount_habit=-1)
