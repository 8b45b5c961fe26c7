"""Decisions about left carts: each is made once, with every check, on what is true when it is stored."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.errors import Conflict
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartUpdated
from mesh.events.contact import ContactReserved
from mesh.events.mesh import MeshHeartbeat
from mesh.events.offer import (
    OfferDecided,
)
from mesh.events.order import PurchaseMarked
from mesh.history import Unchanged
from mesh.profiles import address_digest, customer_digest, read_profile, visitor_digest
from notifications.decision import DecisionContext, DecisionRequest, decide
from notifications.journeys import Journey
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.occasion import CART_CHANGES
from notifications.offers import await_score
from notifications.offers import service as offers
from notifications.promises.settling import Settling
from notifications.templates.live import LiveTemplates

RUN = LiveJourney(journey=Journey(name="j", template="abandoned-cart", channels=("email",), quiet=""))
HASTY = LiveJourney(journey=Journey(name="j", template="abandoned-cart", quiet="", score_limit=timedelta(0)))


async def test_a_missing_score_does_not_hold_up_the_offer(at_work, shop, box):
    """With the scorer dead the offer goes out when the score limit is over."""
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")

        await shop.leave("c1", "ada")
        await box.wait_for(1)

        (decided,) = await shop.all("c1", OfferDecided)
    assert decided.propensity is None
    assert decided.outcome == "approved"


async def all_wanted(kinds):
    """Where nothing is narrowed, as in a region in memory."""


@pytest.mark.parametrize("scored", [pytest.param("left-c1", id="scored"), "left-before", None])
async def test_who_waits_for_a_score_decides_only_without_one(shop, scored):
    """Once there is a score its handler decides, however late: two decisions at once would refuse each other."""
    context = DecisionContext(journeys=LiveJourneys([HASTY]), templates=LiveTemplates(), secret="s")
    await shop.fill("c1", "ada")
    await shop.leave("c1", "ada")
    if scored:
        await shop.score("c1", "ada", scored)
    abandoned = (await shop.mesh.history("c1", "cart")).last(CartAbandoned)

    changes = [change async for change in await_score(abandoned, shop.mesh, context, Settling(shop.mesh, all_wanted))]

    decided = [change.abandonment_id for change in changes if isinstance(change, OfferDecided)]
    assert decided == ([] if scored == abandoned.id else [abandoned.id])


async def test_redelivery_and_late_scores_change_nothing(at_work, shop, box, eventually):
    """However often a cart's score and timer come, there is one decision and one mail."""
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        named = await shop.leave("c1", "ada")
        await asyncio.gather(*(shop.score("c1", "ada", named) for _ in range(5)))
        await box.wait_for(1)
        await shop.score("c1", "ada", named)
        await shop.fill("c2", "ada")
        await shop.score("c2", "ada", await shop.leave("c2", "ada"))

        await box.wait_for(2)

        assert len(await shop.all("c1", OfferDecided)) == 1
    assert len({mail.message_id for mail in box.mails}) == len(box.mails) == 2


@pytest.mark.parametrize("how", ["changed", "bought", "bought another cart", "bought elsewhere"])
async def test_a_cart_that_moved_on_is_dropped_and_says_so(shop_in, at_work, shop, box, eventually, how):
    """Nothing is silent: the decision is there, dropped, with the reason."""
    eu = shop_in("eu")
    async with at_work():
        await shop.identify("ada", customer_id="k1")
        await shop.fill("c1", "ada")
        named = "left-c1"
        if how == "bought elsewhere":
            customer = customer_digest("k1")
            await eu.mesh.publish(PurchaseMarked(shopper=customer, order_id="o1"))
            await eventually(lambda: shop.mesh.last(PurchaseMarked, customer, region="eu"))
        await shop.leave("c1", "ada", named=named)
        if how == "changed":
            await shop.fill("c1", "ada")
        if how == "bought another cart":
            device = visitor_digest("ada")
            await shop.mesh.publish(PurchaseMarked(shopper=device, order_id="o2"))
        if how == "bought":
            await shop.mesh.publish(CartConverted(cart_id="c1", order_id="o1", visitor_id="ada"))
        await shop.score("c1", "ada", named)

        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided))

    assert (decided.outcome, decided.reason) == ("dropped", "cart moved on" if how == "changed" else "bought")
    assert box.mails == []


async def test_the_cap_holds_exactly_between_carts_that_fall_due_at_once(at_work, shop, box, eventually, monkeypatch):
    """Ten carts of one shopper due in the same moment, a cap of two: two mails."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "2")
    carts = [f"c{at}" for at in range(10)]
    async with at_work():
        await shop.identify("ada")
        for cart in carts:
            await shop.fill(cart, "ada")
        named = [await shop.leave(cart, "ada") for cart in carts]
        await asyncio.gather(*(shop.score(cart, "ada", name) for cart, name in zip(carts, named, strict=True)))

        decisions = await eventually(lambda: _decisions(shop, carts), within=60)
        await box.wait_for(2)

    outcomes = sorted(one.outcome for one in decisions)
    assert outcomes == ["approved"] * 2 + ["dropped"] * 8
    assert {one.reason for one in decisions if one.outcome == "dropped"} == {"frequency cap"}
    assert len(box.mails) == 2


async def _decisions(shop, carts):
    found = [one for cart in carts for one in await shop.all(cart, OfferDecided)]
    return found if len(found) == len(carts) else None


@pytest.mark.parametrize("common", ["address", "customer", "address in another region"])
async def test_time_lies_between_two_contacts_of_one_person_on_two_devices(
    shop, shop_in, at_work, box, eventually, monkeypatch, common
):
    """They have an address or a customer in common: the second offer is held until the time is over, and says so."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "1d")
    first = shop_in("eu") if common == "address in another region" else shop
    async with at_work(offers, region="us"), at_work(offers, region="eu"):
        who = {"customer_id": "k1"} if common == "customer" else {}
        for at, place, device in ((1, first, "laptop"), (2, shop, "phone")):
            await place.identify(device, "b@example.test" if who and at == 2 else "Ada@Example.test", **who)
            await place.fill(f"c{at}", device)
        await first.score("c1", "laptop", await first.leave("c1", "laptop", **who))
        (approved,) = await eventually(lambda: first.all("c1", OfferDecided), within=60)
        name = customer_digest("k1") if who else address_digest("ada@example.test")
        reserved = await eventually(lambda: shop.mesh.last(ContactReserved, name, region=first.mesh.region), within=60)
        await shop.score("c2", "phone", await shop.leave("c2", "phone", **who))
        (held,) = await eventually(lambda: shop.all("c2", OfferDecided), within=60)

    (contact,) = reserved.event.recent
    (check,) = [one for one in held.checks if not one.passed]
    assert approved.outcome == "approved"
    assert (held.outcome, held.reason, held.held_until) == (
        "held",
        "time between contacts",
        contact.at + timedelta(days=1),
    )
    assert check.value.endswith("since the last contact, at least 1 d")


async def test_a_held_offer_is_decided_again_when_its_time_has_come(
    shop_in, at_work, shop, box, eventually, monkeypatch
):
    """A shopper of two regions is held while the other is out of date, and sent once it is not."""
    monkeypatch.setenv("CARTMESH_JOURNEY_STALE_AFTER", "5s")
    eu = shop_in("eu")
    async with at_work():
        await shop.identify("ada")
        await eu.fill("c0", "ada")
        await eventually(lambda: _knows_region(shop, "ada"))
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (held,) = await eventually(lambda: shop.all("c1", OfferDecided))
        beat = MeshHeartbeat(region="eu", at=datetime.now(UTC) + timedelta(seconds=30))

        await eu.mesh.publish(beat)
        await box.wait_for(1)

        decisions = await shop.all("c1", OfferDecided)
    assert (held.outcome, held.reason) == ("held", "region out of date")
    assert [one.outcome for one in decisions] == ["held"] * (len(decisions) - 1) + ["approved"]
    assert len({one.offer_id for one in decisions}) == 1
    assert [one.attempt for one in decisions] == list(range(1, len(decisions) + 1))


async def test_after_an_outage_a_region_hears_the_others_before_it_sends(shop_in, at_work, shop, eventually):
    """Its people may have bought anywhere meanwhile: of a cart that falls due too late nothing is sent before."""
    shop_in("eu")
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        await shop.score("c1", "ada", await shop.leave("c1", "ada", due=long_ago))
        (held,) = await eventually(lambda: shop.all("c1", OfferDecided))

    (check,) = [one for one in held.checks if not one.passed]
    assert (held.outcome, held.reason) == ("held", "region out of date")
    assert check.value == "this region was away, others are eu, no heartbeat for 5 s"
    assert held.held_until is not None, "and decided again"


async def _knows_region(shop, visitor):
    return (await read_profile(shop.mesh, visitor)).regions


async def test_an_abandonment_overtaken_while_held_ends_in_a_decision(at_work, shop, box, eventually, monkeypatch):
    """Held for the night, then left again: the first is dropped as moved on, and its timer becomes the second's."""
    now = datetime.now(UTC)
    quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", quiet)
    async with at_work():
        await shop.identify("ada", time_zone="UTC")
        await shop.fill("c1", "ada")
        first = await shop.leave("c1", "ada", named="first")
        await shop.score("c1", "ada", first)
        (held,) = await eventually(lambda: shop.all("c1", OfferDecided))
        await shop.fill("c1", "ada")

        await shop.leave("c1", "ada", named="second")
        decisions = await eventually(lambda: _three(shop))

    assert held.outcome == "held"
    found = [(one.abandonment_id, one.outcome, one.reason) for one in decisions]
    assert sorted(found[1:]) == [("first", "dropped", "cart moved on"), ("second", "held", "quiet hours")]
    assert box.mails == []


async def _three(shop):
    found = await shop.all("c1", OfferDecided)
    return found if len(found) == 3 else None


async def test_no_offer_is_decided_behind_a_purchase(at_work, shop, box, eventually, monkeypatch):
    """Purchases landing around the very moment of decision: whatever is stored behind one is no offer."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "1000")
    carts = [f"c{at}" for at in range(100)]
    async with at_work(offers):
        await shop.identify("ada")
        for cart in carts:
            await shop.fill(cart, "ada")

        async def race(at, cart):
            await shop.score(cart, "ada", await shop.leave(cart, "ada"))
            await asyncio.sleep(at % 20 / 1000)
            await shop.mesh.publish(CartConverted(cart_id=cart, order_id=f"o{at}", visitor_id="ada"))

        await asyncio.gather(*(race(at, cart) for at, cart in enumerate(carts)))
        await eventually(lambda: _decisions(shop, carts), within=60)

        stories = [await shop.mesh.history(cart, "cart", "offer") for cart in carts]
    behind = [
        one.event
        for history in stories
        for one in history.of(OfferDecided)
        if one.sequence > history.last(CartConverted).sequence
    ]
    assert all((one.outcome, one.reason) == ("dropped", "bought") for one in behind)
    assert behind  # otherwise nothing was raced


@pytest.mark.parametrize(
    ("explore", "known", "conditions"),
    [
        pytest.param(0.0, False, {OfferDecided}, id="nothing is sent"),
        pytest.param(0.0, True, {*CART_CHANGES, OfferDecided, ContactReserved, PurchaseMarked}, id="approved"),
        pytest.param(1.0, True, {*CART_CHANGES, OfferDecided}, id="the arm that gets nothing"),
    ],
)
async def test_a_decision_is_conditional_on_what_could_make_it_wrong(shop, explore, known, conditions):
    """A purchase or a change excludes an offer and what is compared with one, and not a decision to send nothing."""
    journey = Journey(name="j", template="abandoned-cart", quiet="", explore=explore, channels=("email",))
    context = DecisionContext(
        journeys=LiveJourneys([LiveJourney(journey=journey)]), templates=LiveTemplates(), secret="s"
    )
    outcomes = set()

    for at in range(40):
        visitor, cart = f"v{at}", f"c{at}"
        if known:
            await shop.identify(visitor)
        await shop.fill(cart, visitor)
        request = DecisionRequest(cart_id=cart, abandonment_id=await shop.leave(cart, visitor), attempt=1)
        changes = await decide(request, shop.mesh, context)
        decided = next(change for change in changes if isinstance(change, OfferDecided))
        kinds = {change.kind for change in changes if isinstance(change, Unchanged)}
        outcomes.add((decided.outcome, frozenset(kinds)))

    wanted = "approved" if ContactReserved in conditions else "dropped"
    assert frozenset(conditions) in {kinds for outcome, kinds in outcomes if outcome == wanted}
    assert len({kinds for outcome, kinds in outcomes if outcome == wanted}) == 1


@pytest.mark.parametrize(
    ("happened", "reason"),
    [
        pytest.param([CartUpdated(cart_id="c1", visitor_id="ada", lines=())], "cart moved on", id="emptied"),
        pytest.param([CartClosed(cart_id="c1", visitor_id="ada", order_id="o1", region="eu")], "bought", id="closed"),
        pytest.param([PurchaseMarked(shopper=visitor_digest("ada"), order_id="o1")], "bought", id="bought elsewhere"),
        pytest.param([], "no e-mail address", id="nothing"),
    ],
)
async def test_what_happened_while_a_cart_was_abandoned_counts_as_afterwards(shop, happened, reason):
    """The abandonment is of the update before, and is stored behind what happened: it is decided as out of date."""
    context = DecisionContext(journeys=LiveJourneys([RUN]), templates=LiveTemplates(), secret="s")
    await shop.fill("c1", "ada")
    judged = (await shop.mesh.history("c1", "cart")).last(CartUpdated)
    for event in happened:
        await shop.mesh.publish(event)
    named = await shop.leave("c1", "ada", update_id=judged.id)

    changes = await decide(DecisionRequest(cart_id="c1", abandonment_id=named, attempt=1), shop.mesh, context)

    (decided,) = [change for change in changes if isinstance(change, OfferDecided)]
    cart = next(check for check in decided.checks if check.name == "cart")
    assert (decided.outcome, decided.reason, cart.passed) == ("dropped", reason, not happened)


async def test_a_late_decision_about_an_earlier_abandonment_conflicts_with_the_newest(shop):
    """It was made before the cart was left again and is stored behind that decision: it touches no timer."""
    context = DecisionContext(journeys=LiveJourneys([RUN]), templates=LiveTemplates(), secret="s")
    await shop.fill("c1", "ada")
    first = await shop.leave("c1", "ada", named="first")
    late = await decide(DecisionRequest(cart_id="c1", abandonment_id=first, attempt=1), shop.mesh, context)
    second = await shop.leave("c1", "ada", named="second")
    newest = await decide(DecisionRequest(cart_id="c1", abandonment_id=second, attempt=1), shop.mesh, context)
    await shop.mesh.publish(*newest)

    with pytest.raises(Conflict):
        await shop.mesh.publish(*late)

    found = [(one.abandonment_id, one.outcome) for one in await shop.all("c1", OfferDecided)]
    assert found == [("first", "dropped"), ("second", "dropped")]


async def test_an_approval_conflicts_once_the_cart_was_filled_and_left_again(shop):
    """The update in between is what it is conditional on: nothing is approved for a cart as it no longer is."""
    journey = Journey(name="j", template="abandoned-cart", quiet="", channels=("email",))
    context = DecisionContext(
        journeys=LiveJourneys([LiveJourney(journey=journey)]), templates=LiveTemplates(), secret="s"
    )
    await shop.identify("ada")
    await shop.fill("c1", "ada")
    first = await shop.leave("c1", "ada", named="first")
    late = await decide(DecisionRequest(cart_id="c1", abandonment_id=first, attempt=1), shop.mesh, context)
    await shop.fill("c1", "ada")
    await shop.leave("c1", "ada", named="second")

    with pytest.raises(Conflict):
        await shop.mesh.publish(*late)

    assert [change.outcome for change in late if isinstance(change, OfferDecided)] == ["approved"]
    assert await shop.all("c1", OfferDecided) == []
