"""Runs of several journeys on one cart: each has its decisions and timer, and they share the contacts."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

from mesh.events.cart import CartConverted
from mesh.events.mesh import MeshHeartbeat
from mesh.events.offer import (
    OfferDecided,
    OfferSent,
)
from mesh.profiles import read_profile


async def test_two_journeys_on_one_cart_decide_each_for_itself(at_work, shop, box, journeys, eventually):
    """Two decisions with their own run, offer and coupon, and a mail for each."""
    journeys(first="discount_percent = 5", second="discount_percent = 10")
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")

        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        await eventually(lambda: _decided(shop, ["c1"], 2))
        await shop.open_page("c1")
        await eventually(lambda: _sent(shop, 4))

    decisions = await shop.all("c1", OfferDecided)
    assert [(one.journey, one.run_id, one.outcome) for one in decisions] == [
        ("first", "first--c1", "approved"),
        ("second", "second--c1", "approved"),
    ]
    assert len({one.offer_id for one in decisions}) == len({one.coupon for one in decisions}) == 2
    assert {mail.offer_id for mail in box.mails} == {one.offer_id for one in decisions}


async def test_the_journey_of_higher_priority_gets_the_last_contact(at_work, shop, box, journeys, eventually):
    """A cap of one, five carts, each time the same journey wins; the other is dropped by the cap."""
    journeys(low="cap = 1", high="cap = 1\npriority = 5")
    carts = [f"c{at}" for at in range(5)]
    async with at_work():
        for cart in carts:
            await shop.identify(cart)
            await shop.fill(cart, cart)
            await shop.leave(cart, cart)

        found = await eventually(lambda: _decided(shop, carts, 10), within=60)
        await box.wait_for(5)

    assert {(one.journey, one.outcome, one.reason) for one in found} == {
        ("high", "approved", ""),
        ("low", "dropped", "frequency cap"),
    }
    assert len(box.mails) == 5


async def test_held_runs_of_one_cart_have_timers_of_their_own(shop_in, at_work, shop, box, journeys, eventually):
    """Both are held while another region is silent and both are decided afterwards, by priority."""
    journeys(low='cap = 1\nstale_after = "5s"', high='cap = 1\npriority = 5\nstale_after = "5s"')
    eu = shop_in("eu")
    async with at_work():
        await shop.identify("ada")
        await eu.fill("c0", "ada")
        await eventually(lambda: _knows_region(shop, "ada"))
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        held = await eventually(lambda: _decided(shop, ["c1"], 2))
        beating = asyncio.create_task(_beat(eu))
        found = await eventually(lambda: _final(shop, "c1", 2), within=60)
        beating.cancel()

    assert {one.outcome for one in held} == {"held"}
    assert {(one.journey, one.outcome, one.reason) for one in found} == {
        ("high", "approved", ""),
        ("low", "dropped", "frequency cap"),
    }
    per_attempt = Counter((one.journey, one.attempt) for one in await shop.all("c1", OfferDecided))
    assert set(per_attempt.values()) == {1}


async def test_a_purchase_ends_every_run_of_the_cart(at_work, shop, box, journeys, eventually):
    """Nothing is approved after it, whatever the journey."""
    journeys(first="", second="")
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        named = await shop.leave("c1", "ada")
        await shop.mesh.publish(CartConverted(cart_id="c1", order_id="o1", visitor_id="ada"))

        await shop.score("c1", "ada", named)
        found = await eventually(lambda: _decided(shop, ["c1"], 2))

    assert {(one.outcome, one.reason) for one in found} == {("dropped", "bought")}
    assert box.mails == []


async def test_a_stopped_journey_starts_nothing(at_work, shop, box, journeys, eventually):
    """`active = false` takes a journey out; the others go on."""
    journeys(running="", stopped="active = false")
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")

        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        await eventually(lambda: _decided(shop, ["c1"], 1))
        await shop.open_page("c1")
        await eventually(lambda: _sent(shop, 2))

    assert [one.journey for one in await shop.all("c1", OfferDecided)] == ["running"]


async def _sent(shop, count):
    found = await shop.all("c1", OfferSent)
    return found if len(found) == count else None


async def _decided(shop, carts, count):
    found = [one for cart in carts for one in await shop.all(cart, OfferDecided)]
    return found if len(found) >= count else None


async def _final(shop, cart, count):
    found = [one for one in await shop.all(cart, OfferDecided) if one.outcome != "held"]
    return found if len(found) == count else None


async def _beat(eu):
    while True:
        await eu.mesh.publish(MeshHeartbeat(region="eu", at=datetime.now(UTC)))
        await asyncio.sleep(1)


async def _knows_region(shop, visitor):
    return (await read_profile(shop.mesh, visitor)).regions
