"""The pages that explain decisions: a cart is left, decided and sent, and each page says what happened and why."""

import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from html import unescape

import httpx
import pytest

from mesh import Mesh, Money
from mesh.events.cart import CartLine, CartRecovered, CartUpdated
from mesh.events.offer import OfferClicked, OfferDecided, OfferSent, OfferTriggered
from mesh.events.order import OrderPlaced
from mesh.runtime.run import running
from notifications.channels.service import service as channels
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.triggers.found import subject_of
from services.identity import service as identity
from tests.approved_offer import approved_offer

OTHER = {"us": "eu", "eu": "us"}
MAIL_ONLY = 'channels = ["email"]\nexpires = "3d"\ncap = 5\n'
MARKUP = "<script>alert(1)</script><b>Lamp</b>"


@pytest.fixture
def pages(regions, staff):
    """Opens a region's studio, as a viewer of it sees it."""

    @asynccontextmanager
    async def opened(region="us"):
        broker = regions.broker(region)
        mesh = Mesh(broker, "studio", others=(OTHER[region],))
        try:
            async with running(studio, mesh, http=("127.0.0.1", 0)) as run:
                yield Pages(await staff(mesh, run.port, "viewer"), run.port)
        finally:
            await broker.drain()

    return opened


class Pages:
    """What somebody reads on the pages."""

    def __init__(self, person, port):
        self._person, self.port = person, port

    async def read(self, path, status=200):
        """A page's words, in the order in which they stand there."""
        answer = await self._person.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[-500:])
        main = answer.text.partition("<main")[2].partition(">")[2]
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())

    async def html(self, path):
        """A page as it is sent."""
        return (await self._person.get(path)).text

    async def leads_to(self, path):
        """Where a request is sent on to."""
        return (await self._person.get(path)).headers.get("location")

    def says(self, path, *wanted):
        """Whether a page has these words by now."""

        async def ask():
            words = await self.read(path)
            return words if all(one in words for one in wanted) else None

        return ask


async def decided(shop, cart, visitor, eventually):
    """A cart is filled, left and scored; its decision."""
    await shop.fill(cart, visitor)
    await shop.score(cart, visitor, await shop.leave(cart, visitor))
    return (await eventually(lambda: shop.all(cart, OfferDecided)))[-1]


async def test_the_pages_say_why_each_cart_got_an_offer_or_none(
    at_work, shop, box, journeys, pages, eventually, monkeypatch
):
    """One is sent and recovered, one held for the time between contacts, one dropped: each with every check."""
    journeys(first=MAIL_ONLY)
    monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "1d")
    async with at_work(offers, channels, identity), pages() as open_pages:
        await shop.identify("ada")
        sent = await decided(shop, "sent", "ada", eventually)
        await eventually(lambda: shop.all("sent", OfferSent))
        held = await decided(shop, "held", "ada", eventually)
        dropped = await decided(shop, "dropped", "bob", eventually)
        value = Money(amount=9000, currency="EUR")
        named = {"cart_id": "sent", "visitor_id": "ada", "offer_id": sent.offer_id}
        await shop.mesh.publish(OfferClicked(channel="email", **named))
        await shop.mesh.publish(CartRecovered(order_id="o1", value=value, **named))

        overview = await eventually(
            open_pages.says("/overview", "Carts evaluated 3", "Clicked 1", "Carts recovered 1", "90.00 EUR")
        )
        listed = await eventually(open_pages.says("/decisions", "3 offers, each with its last decision"))
        of_sent = await open_pages.read("/decisions/sent")
        of_held = await open_pages.read("/decisions/held")
        of_dropped = await open_pages.read("/decisions/dropped")
        only_held = await open_pages.html("/decisions?outcome=held")

    assert [one.outcome for one in (sent, held, dropped)] == ["approved", "held", "dropped"]
    assert "Too soon after the last offer held 1" in overview
    assert "No e-mail address is known dropped 1" in overview
    until = f"{held.held_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    assert f"Too soon after the last offer; held until {until} " in listed
    assert f"Too soon after the last offer; held until {until}, then decided again." in of_held
    for decision, page in ((sent, of_sent), (held, of_held), (dropped, of_dropped)):
        assert [one.value for one in decision.checks if one.value not in page] == []
        assert len(decision.checks) == page.count("✓") + page.count("✗")
        assert "first, revision 0" in page
    story = ("Cart changed", "Cart left", "Cart scored", "Approved by first", "Sending begun (e-mail)", "Sent (e-mail)")
    places = [of_sent.rindex(title) for title in (*story, "Clicked", "Cart recovered")]
    assert places == sorted(places)
    assert "Address is known (e-mail) no e-mail known stopped it" in of_dropped
    assert re.search(r"✗ Time between contacts .+ at least 1 d held it back", of_held)
    assert re.findall(r'href="/decisions/(\w+)"', only_held) == ["held"]


async def test_every_region_explains_what_others_decided(at_work, shop, box, journeys, pages, eventually):
    """The other region's studio shows the cart's story, counts it, and can count the regions apart."""
    journeys(first=MAIL_ONLY)
    async with at_work(offers, identity), pages("eu") as elsewhere:
        await decided(shop, "c1", "bob", eventually)

        await eventually(elsewhere.says("/overview", "Carts evaluated 1"))
        await eventually(elsewhere.says("/overview?region=us", "Carts evaluated 1"))
        await eventually(elsewhere.says("/decisions?region=us", "No e-mail address is known"))
        story = await eventually(elsewhere.says("/decisions/c1", "Dropped by first"))
        here = await elsewhere.read("/overview?region=eu")

    assert "us" in story.partition("Timeline")[2].split()
    assert "No cart was evaluated in these 7 days" in here


async def test_names_are_shown_as_text(at_work, shop, box, journeys, pages, eventually):
    """Markup in a product's name, in an id that was searched for, and in an address, is text on the page."""
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=1, currency="EUR"), name=MARKUP)
    await shop.mesh.publish(CartUpdated(cart_id="c1", visitor_id="v1", lines=(line,)))
    async with pages() as open_pages:
        found = [
            await open_pages.html(path)
            for path in ("/decisions/c1", f"/decisions?q={MARKUP}", f"/overview?journey={MARKUP}", "/decisions/%3Cb%3E")
        ]

    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;Lamp&lt;/b&gt;" in found[0]
    for page in found:
        assert "<script>alert" not in page
        assert "<b>Lamp" not in page


async def test_a_cart_is_found_by_whatever_is_known_of_it(at_work, shop, box, journeys, pages, eventually):
    """By its id, and by those of its offer, its order, its visitor and its customer; not by an address."""
    journeys(first=MAIL_ONLY)
    async with at_work(offers, identity), pages() as open_pages:
        line = CartLine(product_id="p1", quantity=1, price=Money(amount=1, currency="EUR"))
        await shop.mesh.publish(CartUpdated(cart_id="c1", visitor_id="ada", customer_id="shop/7", lines=(line,)))
        offer = await decided(shop, "c1", "ada", eventually)
        placed = OrderPlaced(order_id="o1", visitor_id="ada", cart_id="c1", total=line.price, lines=(line,))
        await shop.mesh.publish(placed)

        for name in ("c1", offer.offer_id, "o1"):
            await eventually(lambda name=name: _leads(open_pages, name, "/decisions/c1"))
        for name in ("ada", "shop/7"):
            await eventually(open_pages.says(f"/decisions?q={name}", f"1 cart belongs to {name}", "c1 by"))
        await shop.fill("c2", "ada")
        two = await eventually(open_pages.says("/decisions?q=ada", "2 carts belong to ada"))
        address = await open_pages.read("/decisions?q=ada@example.test")
        nothing = await open_pages.read("/decisions?q=nobody")
        unknown = await open_pages.read("/decisions/nobody", status=404)
        no_id = await open_pages.read("/decisions/n%20o", status=404)

    assert ("c1 by visitor" in two, "c2 by visitor" in two) == (True, True)
    assert "There is no search by e-mail address here" in address
    assert "Nothing is known of nobody" in nothing
    assert "Nothing is known of this cart" in unknown
    assert "Nothing is known of this cart" in no_id


async def _leads(pages, name, path):
    return await pages.leads_to(f"/decisions?q={name}") == path


async def test_nobody_reads_without_signing_in(pages):
    """A script is refused; a browser is led to the sign-in."""
    async with pages() as open_pages, httpx.AsyncClient(base_url=f"http://127.0.0.1:{open_pages.port}") as stranger:
        paths = ("/overview", "/decisions", "/decisions/c1")
        refused = [(await stranger.get(path)).status_code for path in paths]
        led = [await stranger.get(path, headers={"accept": "text/html"}) for path in paths]

    assert refused == [401, 401, 401]
    assert [one.status_code for one in led] == [303, 303, 303]
    assert all("/console/sign-in?next=" in one.headers["location"] for one in led)


async def test_the_list_has_pages_that_keep_the_choice(shop, pages, eventually):
    """Fifty decisions on each, newest first; the links to the others keep what was chosen."""
    async with pages() as open_pages:
        for number in range(1, 61):
            await shop.mesh.publish(approved_offer(number, outcome="dropped", reason="no consent"))
        await shop.mesh.publish(approved_offer(61))
        await eventually(open_pages.says("/decisions?outcome=dropped", "60 of 61", "Page 1 of 2"))

        first = await open_pages.html("/decisions?outcome=dropped")
        second = await open_pages.html("/decisions?outcome=dropped&page=2")

    carts = [re.findall(r'href="/decisions/(c\d+)"', page) for page in (first, second)]
    assert carts == [[f"c{at}" for at in range(60, 10, -1)], [f"c{at}" for at in range(10, 0, -1)]]
    assert 'href="/decisions?outcome=dropped&amp;page=2"' in first
    assert 'href="/decisions?outcome=dropped&amp;page=1"' in second


async def test_odd_addresses_of_the_list_are_taken_as_they_are_meant(pages):
    """A page that is none, and a choice that nothing has, show a list and keep the choice."""
    async with pages() as open_pages:
        odd = await open_pages.read("/decisions?page=999999999999999999999&outcome=none")
        days = await open_pages.read("/overview?days=-1&region=mars")

    assert "No decision in the last day." in odd
    assert "No cart was evaluated in these 7 days" in days


async def test_the_pages_say_what_a_trigger_found(at_work, shop, journeys, pages, eventually):
    """A run without a cart has a page of its own, to which its visitor leads."""
    journeys(looked=MAIL_ONLY + 'trigger = "browse abandoned"\n')
    now, key = datetime.now(UTC), subject_of("browse abandoned", "looked", "cleo")
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"), name="Lamp")
    async with at_work(offers, identity), pages() as open_pages:
        await shop.identify("cleo")
        found = OfferTriggered(
            cart_id=key,
            visitor_id="cleo",
            journey="looked",
            trigger="browse abandoned",
            lines=(line,),
            total=line.price,
            left_at=now,
            due=now,
            products=("p1",),
        )
        await shop.mesh.publish(found)
        await eventually(lambda: shop.all(key, OfferDecided))

        words = await open_pages.read(f"/decisions/{key}")
        where = await open_pages.read("/decisions?q=cleo")
    assert "Looked at 1 product and left" in words
    assert "Neither bought nor came back since" in words
    assert key in where
