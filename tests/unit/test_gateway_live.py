"""The live offers of visitors and their open pages."""

import asyncio
import json
from datetime import UTC, datetime

from mesh import Received
from mesh.events.cart import CartConverted
from mesh.events.offer import Card, OfferSent
from mesh.events.order import OrderPlaced
from mesh.money import Money
from services.gateway.live import LiveOffers

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD = Card(title="Still yours", body="We kept your cart", action="Go on", url="https://shop.example/cart")


def received(event, sequence):
    return Received(event=event, id=f"id-{sequence}", time=NOW, stored=NOW, region="us", sequence=sequence, subject="")


def sent(sequence, *, cart_id="c1", channel="onsite", card=CARD):
    return received(
        OfferSent(cart_id=cart_id, visitor_id="v1", offer_id=f"o{sequence}", channel=channel, card=card), sequence
    )


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

    assert await asyncio.wait_for(anext(stream), 5) == b": still here\n\n"


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

    assert await asyncio.wait_for(waiting, 5) is None
    assert (offers.pages.open, offers.pages_of("v1")) == (0, 0)
