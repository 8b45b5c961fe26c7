"""One person on several devices is one shopper: one purchase, one mail, one refusal; and no address crosses regions."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Money, Timer
from mesh.events.cart import CartAbandoned, CartLine
from mesh.events.customer import CustomerUnsubscribed
from mesh.events.offer import OfferDecided, OfferDue, OfferSent
from mesh.events.order import PurchaseMarked
from mesh.events.profile import ProfileLinked, ProfileRefused
from mesh.operations.causal_tree import forest
from mesh.operations.events import HIDDEN
from mesh.operations.offer_outcomes import offer_outcomes, outcome_lines
from mesh.operations.person_story import Subject, story_of
from mesh.profiles import address_digest, read_profile
from mesh.publish import Draft
from mesh.runtime.run import running
from notifications.channels.service import service as channels
from notifications.inbox.server import inbox
from notifications.offers import service as offers
from services.identity import service as identity
from services.identity.erasure import PersonKey, request_erasure

ADDRESS = "Ada@Example.test"
PAGE, SERVER = "demo", "secret"
PRICE = {"amount": 4500, "currency": "EUR"}
LINE = CartLine(product_id="p1", quantity=1, price=Money(**PRICE), name="Lamp")


class Shop:
    """One region: what its pages send through the gateway, and what its services decide."""

    def __init__(self, client, mesh):
        self.client, self.mesh, self.sent = client, mesh, 0

    async def send(self, type_, visitor, *, key=PAGE, **fields):
        self.sent += 1
        now = datetime.now(UTC).isoformat()
        event = {"id": f"{self.mesh.region}-{self.sent}", "type": type_, "time": now, "visitor_id": visitor, **fields}
        headers = {"authorization": f"Bearer {key}"}
        answer = await self.client.post("/v1/events", json={"events": [event]}, headers=headers)
        assert answer.json()["rejected"] == []

    async def identify(self, visitor, *, consent=True, **fields):
        await self.send("customer_identified", visitor, **{"email": ADDRESS} | fields)
        if consent:
            await self.send("consent_changed", visitor, channel="email", granted=True)

    async def buy(self, visitor, order="o1", **fields):
        line = {"product_id": "p1", "quantity": 1, "price": PRICE}
        await self.send("order_placed", visitor, order_id=order, lines=[line], total=PRICE, **fields)

    async def fill(self, visitor):
        line = {"product_id": "p1", "quantity": 1, "price": PRICE}
        await self.send("cart_updated", visitor, cart_id=f"cart-of-{visitor}", lines=[line])

    async def leave(self, visitor, *, named=""):
        now, cart = datetime.now(UTC), f"cart-of-{visitor}"
        left = CartAbandoned(
            cart_id=cart,
            visitor_id=visitor,
            lines=(LINE,),
            total=LINE.price,
            left_at=now - timedelta(minutes=30),
            due=now,
        )
        await self.mesh.publish(Draft(event=left, id=named or f"left-{cart}"))
        return cart

    async def decision(self, cart):
        last = (await self.mesh.history(cart, "offer")).last(OfferDecided)
        return last.event if last else None

    async def profile(self, visitor):
        return await read_profile(self.mesh, visitor)

    async def is_linked(self, *visitors):
        return set(visitors) <= set((await self.profile(visitors[0])).visitors)


@pytest.fixture
def mails_alone(monkeypatch):
    """A journey without cards: what keeps mails back is the decision's reason. Asked for before the shops."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CHANNELS", "email")


@pytest.fixture
async def box(tmp_path, monkeypatch):
    async with inbox(tmp_path / "inbox") as opened:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(opened.smtp_port))
        monkeypatch.setenv("CARTMESH_JOURNEY_SCORE_LIMIT", "50ms")
        monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "1")
        monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", "")
        monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "0s")
        monkeypatch.setenv("CARTMESH_JOURNEY_HOLDOUT", "0")
        yield opened


@pytest.fixture
async def shops(regions, box, gateway_client, monkeypatch):
    """Gateway, identity, offers and channels at work in two regions."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    async with AsyncExitStack() as stack:
        opened = {}
        for region, other in (("us", "eu"), ("eu", "us")):
            for service in (identity, offers, channels):
                mesh = Mesh(regions.broker(region), service.name, others=(other,))
                await stack.enter_async_context(running(service, mesh))
            broker = regions.broker(region)
            client = await stack.enter_async_context(gateway_client(Mesh(broker, "gateway", others=(other,))))
            opened[region] = Shop(client, Mesh(regions.broker(region), "tests", others=(other,)))
        yield opened


@pytest.fixture
def us(shops):
    return shops["us"]


async def test_who_buys_on_the_phone_gets_no_mail_for_the_laptop(us, box, eventually):
    """Laptop and phone were identified with the same address, differently written, and nothing else in common."""
    await us.identify("laptop")
    await us.identify("phone", email=ADDRESS.upper())
    await us.fill("laptop")
    await us.buy("phone")

    cart = await us.leave("laptop")
    decided = await eventually(lambda: us.decision(cart))

    assert (decided.outcome, decided.reason) == ("dropped", "bought")
    assert box.mails == []


async def test_who_buys_in_another_region_gets_no_mail_at_home(shops, us, eventually):
    """Regions match the person by a keyed hash: the address itself is in nothing that crosses."""
    await us.identify("laptop")
    await us.fill("laptop")
    await shops["eu"].identify("phone")
    await shops["eu"].buy("phone")
    digest = address_digest(ADDRESS)
    await eventually(lambda: us.mesh.last(PurchaseMarked, digest, region="eu"))

    cart = await us.leave("laptop")
    decided = await eventually(lambda: us.decision(cart))
    crossed = [message.body async for message in us.mesh.broker.read("MESH_us", [">"])]

    assert (decided.outcome, decided.reason) == ("dropped", "bought")
    assert crossed
    assert not [body for body in crossed if b"xample.test" in body.lower()]


async def test_who_says_who_they_are_after_buying_has_bought(us, eventually):
    """A purchase before the phone was identified is found once its profile is known."""
    await us.fill("laptop")
    await us.buy("phone")
    await us.identify("laptop")
    await us.identify("phone")
    await eventually(lambda: us.is_linked("laptop", "phone"))

    cart = await us.leave("laptop")
    decided = await eventually(lambda: us.decision(cart))

    assert (decided.outcome, decided.reason) == ("dropped", "bought")


async def test_eight_devices_of_one_person_get_one_mail(us, box, eventually):
    """The cap counts people: eight carts that are left at once on eight devices with one address."""
    devices = [f"device-{n}" for n in range(8)]
    for device in devices:
        await us.identify(device)

    carts = [await us.leave(device) for device in devices]
    decided = [await eventually(lambda cart=cart: us.decision(cart), within=60) for cart in carts]
    await box.wait_for(1)

    assert sorted(one.outcome for one in decided) == ["approved"] + ["dropped"] * 7
    assert {"frequency cap"} == {one.reason for one in decided if one.outcome == "dropped"}
    assert len(box.mails) == 1


async def test_unsubscribing_on_one_device_holds_on_all(mails_alone, shops, us, box, eventually):
    """The click in a mail to the laptop ends the phone's as well, and a new device's, in every region."""
    await us.identify("laptop")
    await us.identify("phone")
    await shops["eu"].identify("tablet")
    await us.mesh.publish(CustomerUnsubscribed(visitor_id="laptop", channel="email", offer_id="o"))

    async def refused(shop, visitor):
        return "email" in (await shop.profile(visitor)).refused_channels()

    await eventually(lambda: refused(us, "phone"))
    await eventually(lambda: refused(shops["eu"], "tablet"))
    await us.identify("new")
    found = {}
    for shop, device in ((us, "phone"), (us, "new"), (shops["eu"], "tablet")):
        await eventually(lambda shop=shop, device=device: refused(shop, device))
        cart = await shop.leave(device)
        found[device] = (await eventually(lambda shop=shop, cart=cart: shop.decision(cart))).reason

    assert found == {"phone": "unsubscribed", "new": "unsubscribed", "tablet": "unsubscribed"}
    assert box.mails == []


async def test_allowing_again_with_a_pages_key_lifts_nothing_that_the_link_in_a_mail_refused(
    mails_alone, us, box, eventually
):
    """Whoever knows a visitor's id can send that with the page's key: neither that device nor another is mailed."""
    await us.identify("laptop")
    await us.mesh.publish(CustomerUnsubscribed(visitor_id="laptop", channel="email", offer_id="o"))
    await eventually(lambda: _refused(us, "laptop"), within=60)
    await us.send("consent_changed", "laptop", channel="email", granted=True)
    await us.identify("phone")
    await eventually(lambda: us.is_linked("laptop", "phone"), within=60)

    carts = [await us.leave(device) for device in ("laptop", "phone")]
    decided = [await eventually(lambda cart=cart: us.decision(cart), within=60) for cart in carts]

    assert [(one.outcome, one.reason) for one in decided] == [("dropped", "unsubscribed")] * 2
    assert await _refused(us, "laptop")
    assert box.mails == []


async def test_allowing_again_by_the_shops_server_counts(us, box, eventually):
    """On the device that refused: the server says that the shopper, person_key it knows, wants mails again."""
    await us.identify("laptop")
    await us.mesh.publish(CustomerUnsubscribed(visitor_id="laptop", channel="email", offer_id="o"))
    await eventually(lambda: _refused(us, "laptop"), within=60)
    await us.send("consent_changed", "laptop", channel="email", granted=True, key=SERVER)

    cart = await us.leave("laptop")
    await box.wait_for(1, timeout=60)
    sent = await eventually(lambda: _sent(us, cart), within=60)

    assert [one.channel for one in sent] == ["email"]


@pytest.mark.parametrize("confirmed", [True, False])
async def test_allowing_again_on_another_device_needs_an_address_that_the_server_reported(us, confirmed, eventually):
    """A new phone of who unsubscribed on the laptop. The server's consent alone says nothing of the address."""
    await us.identify("laptop")
    await us.mesh.publish(CustomerUnsubscribed(visitor_id="laptop", channel="email", offer_id="o"))
    await us.identify("phone", consent=False, key=SERVER if confirmed else PAGE)
    await eventually(lambda: _refused(us, "phone"), within=60)
    await us.send("consent_changed", "phone", channel="email", granted=True, key=SERVER)

    async def noted():
        refusal = await us.mesh.last(ProfileRefused, "phone")
        return refusal and not refusal.event.refused

    await eventually(noted, within=60)
    await eventually(lambda: _is_refused(us, "phone", not confirmed), within=60)


async def _refused(shop, visitor):
    return "email" in (await shop.profile(visitor)).refused_channels()


async def _is_refused(shop, visitor, wanted):
    return await _refused(shop, visitor) is wanted


async def _sent(shop, cart):
    return [one.event for one in (await shop.mesh.history(cart, "offer")).of(OfferSent) if one.event.channel == "email"]


async def test_another_person_on_the_same_device_is_another_profile(us, eventually):
    """Of person_key the shop's server gives another address, the device leaves the profile it was in."""
    await us.identify("shared", email="ada@example.test")
    await us.identify("phone", email="ada@example.test")
    await eventually(lambda: us.is_linked("shared", "phone"))

    await us.identify("shared", email="bob@example.test", key=SERVER)

    async def split():
        return "shared" not in (await us.profile("phone")).visitors

    await eventually(split)
    assert (await us.profile("shared")).visitors == ("shared",)
    assert (await us.mesh.last(ProfileLinked, "shared")).event.ended == (address_digest("ada@example.test"),)


async def test_a_page_cannot_have_a_known_visitors_mail_sent_elsewhere(mails_alone, us, box, eventually):
    """Another address from a page stops all mail for the visitor, until the shop's server says whose device it is."""
    await us.identify("laptop", email="ada@example.test", name="Ada")
    await us.identify("laptop", email="attacker@example.test")
    await us.identify("laptop", email="attacker@example.test")

    cart = await us.leave("laptop")
    decided = await eventually(lambda: us.decision(cart))
    assert (decided.outcome, decided.reason) == ("dropped", "no e-mail address")
    assert (await us.mesh.last(ProfileLinked, "laptop")).event.names == (address_digest("ada@example.test"),)

    await us.identify("laptop", email="ada@example.test", key=SERVER)
    await us.leave("laptop", named="again")
    await box.wait_for(1)
    assert [mail.recipients for mail in box.mails] == [("ada@example.test",)]


async def test_a_page_that_backdates_another_address_changes_nothing_about_that(mails_alone, us, eventually):
    """What is stored last is what would be mailed, whichever time it claims."""
    await us.identify("laptop", email="ada@example.test")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    await us.identify("laptop", email="attacker@example.test", time=yesterday)

    cart = await us.leave("laptop")
    decided = await eventually(lambda: us.decision(cart))

    assert (decided.outcome, decided.reason) == ("dropped", "no e-mail address")


async def test_a_purchase_counts_for_whoever_a_page_says_it_was(us, eventually):
    """Bob, who uses Ada's laptop without signing out there, is not mailed on his phone for what he bought on it."""
    await us.identify("laptop", email="ada@example.test")
    await us.identify("phone", email="bob@example.test")
    await us.identify("laptop", email="bob@example.test")
    await us.fill("phone")
    await us.buy("laptop")

    cart = await us.leave("phone")
    decided = await eventually(lambda: us.decision(cart))

    assert (decided.outcome, decided.reason) == ("dropped", "bought")
    assert (await us.profile("phone")).visitors == ("phone",)


async def test_a_device_is_nobodys_after_its_owner_was_erased(us, eventually):
    """The next who identifies there is new: what was known before does not contradict it."""
    await us.identify("laptop", email="ada@example.test")
    await eventually(lambda: us.profile("laptop"))
    await request_erasure(PersonKey(visitor_id="laptop"), us.mesh)

    async def nameless():
        return (await us.mesh.last(ProfileLinked, "laptop")).event.names == ()

    await eventually(nameless)
    await us.identify("laptop", email="bob@example.test")

    linked = (await us.mesh.last(ProfileLinked, "laptop")).event
    assert (linked.names, linked.unproven) == ((address_digest("bob@example.test"),), ())


@pytest.fixture
async def past(shops, us, box, eventually):
    """Two meshes, and what happened to Ada: her laptop's cart in `us` was mailed, then her phone bought in `eu`."""
    eu = shops["eu"]
    await us.identify("laptop", customer_id="c-7", name="Ada", key=SERVER)
    await us.fill("laptop")
    cart = await us.leave("laptop")
    await box.wait_for(1)
    await eventually(lambda: _sent(us, cart), within=60)
    again = OfferDue(run_id=f"later--{cart}", cart_id=cart, journey="later", abandonment_id="left-9", attempt=1)
    await us.mesh.publish(Timer(again, datetime.now(UTC) + timedelta(hours=1)))
    await eu.identify("phone", consent=False)
    await eu.buy("phone")
    await us.fill("stranger")
    for shop in (us, eu):
        await eventually(lambda shop=shop: shop.is_linked("laptop", "phone"), within=60)
    return [us.mesh, eu.mesh]


async def test_the_log_has_a_persons_whole_story(past):
    """By whatever they are asked for: every device, the cart with its timers, the mail, and the order elsewhere."""
    asked = [Subject(visitor="phone"), Subject(customer="c-7"), Subject(cart="cart-of-laptop"), Subject(order="o1")]

    stories = [await story_of(past, subject) for subject in asked]
    late = await story_of(past, asked[0], since=datetime.now(UTC) + timedelta(seconds=1))

    digest = address_digest(ADDRESS)
    for story in stories:
        person = story.person
        assert (set(person.visitors), person.carts, person.orders) == (
            {"laptop", "phone"},
            ("cart-of-laptop",),
            ("o1",),
        )
        happened = {(one.type.removesuffix(".v1"), one.key, one.region) for one in story.events if not one.due}
        assert happened >= {
            ("customer.identified", "laptop", "us"),
            ("customer.identified", "phone", "eu"),
            ("profile.linked", "phone", "eu"),
            ("cart.updated", "cart-of-laptop", "us"),
            ("cart.abandoned", "cart-of-laptop", "us"),
            ("offer.decided", "cart-of-laptop", "us"),
            ("offer.sent", "cart-of-laptop", "us"),
            ("contact.reserved", digest, "us"),
            ("order.placed", "o1", "eu"),
            ("order.purchase_marked", digest, "eu"),
        }
        assert {one.key for one in story.events if one.due} == {"cart-of-laptop", "later--cart-of-laptop"}
        assert not [one for one in story.events if "stranger" in (one.key, one.data.get("visitor_id"))]
        assert story.cut is False
    assert {one.type for one in late.events} == {"cart.idle.v1", "offer.due.v1"}  # what waits, however old it is


async def test_a_story_says_what_became_of_each_offer_and_hides_who_it_is(past):
    """Each check of the decision, then what the channels did; addresses and names only where they are asked for."""
    hidden = await story_of(past, Subject(visitor="laptop"))
    shown = await story_of(past, Subject(visitor="laptop"), personal=True)

    def names(story):
        return {
            one.data["name"] for one in story.events if one.type == "customer.identified.v1" and one.key == "laptop"
        }

    (offer,) = offer_outcomes(hidden.events)
    steps = [(step.what, step.channel) for step in offer.steps]
    assert (offer.cart_id, offer.journey, steps[0]) == ("cart-of-laptop", "abandoned-cart", ("approved", None))
    assert steps.index(("claimed", "email")) < steps.index(("sent", "email"))
    assert any(line.endswith("sent by email") for line in outcome_lines([offer]))
    (decided,) = [one for one in hidden.events if one.type == "offer.decided.v1"]
    assert {"consent", "quiet hours"} <= {check["name"] for check in decided.data["checks"]}
    assert ("offer.decided.v1", "offer.sent.v1") in set(_pairs(forest(hidden.events)))
    assert ADDRESS not in repr(hidden.events)
    assert (names(hidden), names(shown)) == ({HIDDEN}, {"Ada"})


def _pairs(trees):
    for tree in trees:
        for following in tree.followed:
            yield tree.event.type, following.event.type
        yield from _pairs(tree.followed)
