"""Runs that a trigger started beside those of a left cart: each starts its own journeys, and replaces its own runs."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.events.cart import CartAbandoned
from mesh.events.offer import OfferDecided, OfferDue, OfferTriggered
from mesh.events.order import OrderPlaced, PurchaseMarked
from mesh.events.trigger import TriggerChecked
from mesh.profiles import read_profile, visitor_digest
from mesh.publish import Draft
from mesh.timers import Timer
from notifications.decision import decide
from notifications.decision_context import DecisionContext, DecisionRequest
from notifications.journeys import parse
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.journeys.triggers import TRIGGERS, has_cart
from notifications.rehearsal.past import read_past
from notifications.rehearsal.rehearse import Rehearsal
from notifications.templates.live import LiveTemplates
from notifications.triggers.orders import orders_without_another
from services.identity import service as identity
from tests.stories.offers.conftest import LINE

CHEAPER = 'template = "a"\nquiet = ""\nassume_consent = true\ntrigger = "price dropped"\n'
LATER = CHEAPER + '[[steps]]\nname = "later"\nafter = "1h"\n'
WIN_BACK = 'template = "a"\ntrigger = "no order since"\ntrigger_after = "60d"\n'
LEFT = 'template = "a"\nquiet = ""\n'


def context_of(**texts):
    journeys = [LiveJourney(journey=parse(name, text, {}), revision=1) for name, text in texts.items()]
    return DecisionContext(journeys=LiveJourneys(journeys), templates=LiveTemplates(), secret="s")


async def decided(shop, request, context):
    changes = await decide(request, shop.mesh, context)
    await shop.mesh.publish(*changes)
    return changes


async def drop(shop, named):
    """The price of what was left in the cart c1 fell."""
    left = (await shop.mesh.history("c1", CartAbandoned)).last(CartAbandoned)
    now = datetime.now(UTC)
    event = OfferTriggered(
        cart_id="c1",
        visitor_id="ada",
        journey="cheaper",
        trigger="price dropped",
        lines=(LINE,),
        total=LINE.price,
        left_at=left.event.left_at,
        due=now,
        abandonment_id=left.id,
    )
    await shop.mesh.publish(Draft(event=event, id=named))
    return DecisionRequest(cart_id="c1", abandonment_id=named, attempt=1, trigger="price dropped")


@pytest.mark.parametrize(("also", "names"), [({"left": LEFT}, ["left"]), ({}, [])])
async def test_a_left_cart_starts_journeys_for_left_carts_alone(shop, also, names):
    """Where there is none, nothing is decided."""
    context = context_of(cheaper=CHEAPER, **also)
    await shop.fill("c1", "ada")
    named = await shop.leave("c1", "ada")

    changes = await decided(shop, DecisionRequest(cart_id="c1", abandonment_id=named, attempt=1), context)

    assert [one.journey for one in changes if isinstance(one, OfferDecided)] == names


async def test_a_later_find_ends_the_run_of_the_one_before_and_no_other(shop):
    """Its timer names the trigger, by which the history is read again; the run of the left cart goes on."""
    context = context_of(cheaper=LATER, left=LEFT)
    await shop.identify("ada")
    await shop.fill("c1", "ada")
    cart = await shop.leave("c1", "ada")
    await decided(shop, DecisionRequest(cart_id="c1", abandonment_id=cart, attempt=1), context)
    first = await decided(shop, await drop(shop, "first"), context)
    second = await decided(shop, await drop(shop, "second"), context)

    due = next(one.event for one in first if isinstance(one, Timer))
    assert (due.trigger, due.abandonment_id, due.step) == ("price dropped", "first", "later")
    made = [one for one in second if isinstance(one, OfferDecided)]
    assert [(one.abandonment_id, one.outcome, one.reason) for one in made] == [
        ("first", "dropped", "cart moved on"),
        ("second", "held", "step not due yet"),
    ]
    assert isinstance(due, OfferDue)
    assert {one.journey for one in await shop.all("c1", OfferDecided) if one.abandonment_id == cart} == {"left"}


@pytest.mark.parametrize("where", ["us", "eu"])
@pytest.mark.parametrize("trigger", [one for one in TRIGGERS if one != "cart abandoned"])
async def test_who_bought_before_the_decision_is_not_offered_anything(shop, shop_in, eventually, trigger, where):
    """In this region or another one, after the trigger found them (promise P1); nobody else is kept from it."""
    context = context_of(journey=CHEAPER.replace("price dropped", trigger))
    await shop.identify("ada")
    await shop.fill("c1", "ada")
    named = await shop.leave("c1", "ada")
    now = datetime.now(UTC)
    event = OfferTriggered(
        cart_id="c1" if has_cart(trigger) else "digest",
        visitor_id="ada",
        journey="journey",
        trigger=trigger,
        lines=(LINE,),
        total=LINE.price,
        left_at=now,
        due=now,
        abandonment_id=named if has_cart(trigger) else None,
    )
    await shop.mesh.publish(Draft(event=event, id="found"))
    request = DecisionRequest(cart_id=event.cart_id, abandonment_id="found", attempt=1, trigger=trigger)
    (before,) = [one for one in await decide(request, shop.mesh, context) if isinstance(one, OfferDecided)]
    await shop_in(where).mesh.publish(PurchaseMarked(shopper=visitor_digest("ada"), order_id="o1"))
    await eventually(lambda: shop.mesh.last(PurchaseMarked, visitor_digest("ada"), region=where))

    (after,) = [one for one in await decide(request, shop.mesh, context) if isinstance(one, OfferDecided)]

    assert (before.outcome, after.outcome, after.reason) == ("approved", "dropped", "bought")


async def test_only_the_last_order_of_a_shopper_asks_them_to_come_back(shop, at_work, eventually):
    """The other was followed by one, however long ago both are."""
    async with at_work(identity):
        await shop.identify("ida")
        await eventually(lambda: _names(shop, "ida"))
    for one in ("o1", "o2"):
        await shop.mesh.publish(
            OrderPlaced(order_id=one, visitor_id="ida", lines=(LINE,), total=LINE.price * 2),
            PurchaseMarked(shopper=visitor_digest("ida"), order_id=one),
        )
    begun, journey = datetime.now(UTC) - timedelta(days=1), parse("win-back", WIN_BACK, {})
    checked = TriggerChecked(journey="win-back", trigger=journey.trigger, since=begun, begun=begun)

    part = await orders_without_another(journey, checked, datetime.now(UTC) + timedelta(days=61), shop.mesh)

    assert ([found.event.order_id for found in part.found if found], part.read) == (["o2"], 2)
    assert await orders_without_another(journey, checked, datetime.now(UTC) + timedelta(days=59), shop.mesh) is None


async def _names(shop, visitor):
    return (await read_profile(shop.mesh, visitor)).names


async def test_a_rehearsal_decides_again_about_what_journeys_of_the_trigger_found(shop):
    """Another offer of the same occasion; left carts are not among them, nor these among left carts."""
    context = context_of(cheaper=CHEAPER, left=LEFT)
    await shop.identify("ada")
    await shop.fill("c1", "ada")
    cart = await shop.leave("c1", "ada")
    await decided(shop, DecisionRequest(cart_id="c1", abandonment_id=cart, attempt=1), context)
    await decided(shop, await drop(shop, "found"), context)
    now = datetime.now(UTC)
    pasts = [
        await read_past(shop.mesh, now - timedelta(hours=1), now, trigger=one)
        for one in ("cart abandoned", "price dropped", "back in stock")
    ]
    rehearsal = Rehearsal(pasts[1], parse("cheaper", CHEAPER + "discount_percent = 15\n", {}))
    list(rehearsal.steps())

    assert [[one.abandoned.id for one in past.carts] for past in pasts] == [[cart], ["found"], []]
    (result,) = rehearsal.results()
    assert [(one.outcome, one.discount_percent, one.trigger) for one in result.final] == [
        ("approved", 15, "price dropped")
    ]
