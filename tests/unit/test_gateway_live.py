"""The live offers of visitors and their open pages."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from mesh import Mesh, Received
from mesh.events.cart import CartConverted
from mesh.events.offer import Card, OfferDecided, OfferRequested, OfferSent
from mesh.events.order import OrderPlaced
from mesh.money import Money
from services.gateway.live import LiveOffers

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD = Card(title="Still yours", body="We kept your cart", action="Go on", url="https://shop.example/cart")


def received(event, sequence):
    return Received(event=event, id=f"id-{sequence}", time=NOW, stored=NOW, region="us", sequence=sequence, subject="")


def sent(sequence, *, cart_id="c1", channel="onsite", card=CARD, offer_id=None):
    offer_id = offer_id or f"o{sequence}"
    return received(
        OfferSent(cart_id=cart_id, visitor_id="v1", offer_id=offer_id, channel=channel, card=card), sequence
    )


def decided(sequence, *, cart_id="c1", outcome="approved", channels=("email", "onsite")):
    event = OfferDecided(
        cart_id=cart_id,
        visitor_id="v1",
        offer_id=f"o{sequence}",
        abandonment_id="a1",
        attempt=1,
        outcome=outcome,
        reason="",
        checks=(),
        journey="abandoned-cart",
        due=NOW,
        channels=channels,
    )
    return received(event, sequence)


def bought(sequence, *, cart_id="c1"):
    return received(CartConverted(cart_id=cart_id, order_id="o1", visitor_id="v1"), sequence)


async def words(stream):
    """The next server-sent event that says something, as (id, name, data)."""
    async for chunk in stream:
        if chunk.startswith(b"id: "):
            lines = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
            return int(lines["id"]), lines["event"], json.loads(lines["data"])
    return None


async def test_an_offer_appears_on_an_open_page():
    """A page that is open receives an offer the moment it is sent."""
    offers = LiveOffers()
    stream = offers.stream("v1")
    assert await anext(stream) == b"retry: 2000\n\n"

    offers.apply(sent(7))

    id_, name, data = await words(stream)
    assert (id_, name, data["card"]["title"]) == (7, "offer", "Still yours")


async def test_a_page_that_opens_later_receives_the_live_offer():
    """The current offer comes first."""
    offers = LiveOffers()
    offers.apply(sent(7))

    assert (await words(offers.stream("v1")))[:2] == (7, "offer")


async def test_a_purchase_withdraws_the_card():
    """Once the cart is bought its card is withdrawn, on open pages and on those that return; a new page gets none."""
    offers = LiveOffers()
    stream = offers.stream("v1")
    offers.apply(sent(7))
    assert (await words(stream))[1] == "offer"

    offers.apply(bought(8))

    assert (await words(stream))[:2] == (8, "withdrawn")
    assert offers.current("v1", behind=7).name == "withdrawn"
    assert offers.current("v1", behind=None) is None


async def test_an_order_without_a_cart_withdraws_too():
    """Whoever has bought anything is not shown an offer for what they left."""
    offers = LiveOffers()
    offers.apply(sent(7))

    total = Money(amount=1, currency="EUR")
    offers.apply(received(OrderPlaced(order_id="o9", visitor_id="v1", lines=(), total=total), 8))

    assert offers.current("v1", behind=None) is None


async def test_another_cart_bought_leaves_the_card():
    """A purchase of a cart that is not the offer's is not the offer's end."""
    offers = LiveOffers()
    offers.apply(sent(7))

    offers.apply(bought(8, cart_id="c2"))

    assert offers.current("v1", behind=None).id == 7


async def test_an_offer_is_sent_to_a_page_once():
    """A browser that reconnects with Last-Event-ID receives only what is newer."""
    offers = LiveOffers()
    offers.apply(sent(7))

    assert offers.current("v1", behind=7) is None
    offers.apply(sent(9))
    assert offers.current("v1", behind=7).id == 9


async def test_what_is_older_than_the_newest_is_ignored():
    """Replayed or late events never bring back what was withdrawn."""
    offers = LiveOffers()
    offers.apply(sent(7))
    offers.apply(bought(8))

    offers.apply(sent(7))

    assert offers.current("v1", behind=None) is None


async def test_mails_and_cardless_offers_are_not_shown():
    """Only offers for the site, with a card, are."""
    offers = LiveOffers()

    offers.apply(sent(7, channel="email"))
    offers.apply(sent(8, card=None))

    assert offers.current("v1", behind=None) is None


async def test_a_silent_stream_says_that_it_lives():
    """Comments keep proxies from closing a page's stream."""
    stream = LiveOffers().stream("v1", heartbeat=0.01)
    await anext(stream)

    assert await asyncio.wait_for(anext(stream), 60) == b": still here\n\n"


async def test_a_slow_page_misses_the_oldest_never_the_newest():
    """What waits for one page is bounded."""
    offers = LiveOffers()
    stream = offers.stream("v1")
    await anext(stream)

    for sequence in range(1, 101):
        offers.apply(sent(sequence))

    assert [(await words(stream))[0] for _ in range(16)] == list(range(85, 101))


async def test_a_closed_page_leaves_nothing_behind():
    """Pages that go are forgotten, and closing the offers ends those that are left."""
    offers = LiveOffers()
    gone, left = offers.stream("v1"), offers.stream("v1")
    await anext(gone)
    await anext(left)
    waiting = asyncio.create_task(words(left))
    await asyncio.sleep(0)

    await gone.aclose()
    offers.close()

    assert await asyncio.wait_for(waiting, 60) is None
    assert (offers.pages.open, offers.pages_of("v1")) == (0, 0)


@pytest.fixture
async def asked_for(regions):
    """Stores what pages ask for; returns the ids of offers that were asked for once the given number is stored."""
    mesh = Mesh(regions.broker("us"), "gateway")

    @asynccontextmanager
    async def storing(*many):
        tasks = [asyncio.create_task(offers.awaited.publish_requests(mesh)) for offers in many]

        async def stored(count):
            while True:
                found = [one.event.offer_id async for one in mesh.read(OfferRequested)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0)

        try:
            yield stored
        finally:
            for task in tasks:
                task.cancel()

    return storing


async def test_a_card_is_asked_for_where_a_page_is_open(asked_for):
    """An approved offer for the site is asked for at once where its visitor has a page open."""
    offers = LiveOffers()
    stream = offers.stream("v1")
    await anext(stream)
    async with asked_for(offers) as stored:
        offers.apply(decided(6, outcome="held"))
        offers.apply(decided(7, channels=("email",)))
        offers.apply(decided(8))

        found = await asyncio.wait_for(stored(1), 60)

    assert found == ["o8"]


async def test_a_page_that_opens_later_asks_for_the_newest_card_once(asked_for):
    """Without a page nothing is asked for; the first page asks for the visitor's newest offer, the second for none."""
    offers = LiveOffers()
    async with asked_for(offers) as stored:
        offers.apply(decided(7))
        offers.apply(decided(8, cart_id="c2"))
        before = await stored(0)

        pages = [offers.stream("v1") for _ in range(2)]
        for page in pages:
            await anext(page)
        offers.apply(decided(9))
        found = await asyncio.wait_for(stored(2), 60)

    assert (before, found) == ([], ["o8", "o9"])


async def test_pages_of_two_gateways_ask_for_a_card_once(asked_for):
    """Whichever gateway a page is connected to, an offer's request is the same event."""
    one, other = LiveOffers(), LiveOffers()
    async with asked_for(one, other) as stored:
        pages = [offers.stream("v1") for offers in (one, other)]
        for offers, page in zip((one, other), pages, strict=True):
            offers.apply(decided(7))
            await anext(page)
        one.apply(decided(8))
        found = await asyncio.wait_for(stored(2), 60)

    assert found == ["o7", "o8"]


async def test_a_card_that_was_made_or_withdrawn_is_not_asked_for(asked_for):
    """A gateway that starts again reads an hour of events: only what is still awaited is asked for."""
    offers = LiveOffers()
    async with asked_for(offers) as stored:
        for one in (decided(7), sent(8, offer_id="o7"), decided(7)):  # the last is a repetition
            offers.apply(one)
        page = offers.stream("v1")
        await anext(page)
        offers.apply(bought(9))
        offers.apply(decided(10, cart_id="c2"))
        offers.apply(decided(11, cart_id="c3"))

        found = await asyncio.wait_for(stored(2), 60)

    assert found == ["o10", "o11"]


@pytest.mark.parametrize("how", ["cart", "order"])
async def test_an_offer_of_who_has_bought_is_not_asked_for(how):
    """A purchase ends an offer that no page has asked for yet."""
    offers = LiveOffers()
    offers.apply(decided(7))
    total = Money(amount=1, currency="EUR")
    order = OrderPlaced(order_id="o9", visitor_id="v1", lines=(), total=total)

    offers.apply(bought(8) if how == "cart" else received(order, 8))

    assert offers.awaited.request("v1") is None


async def test_the_older_card_is_not_shown_while_a_newer_one_is_made():
    """A page that opens is sent the newer offer's card alone."""
    offers = LiveOffers()
    offers.apply(sent(7))
    offers.apply(decided(8, cart_id="c2"))
    stream = offers.stream("v1")
    await anext(stream)

    offers.apply(sent(9, cart_id="c2", offer_id="o8"))

    assert (await words(stream))[0] == 9
