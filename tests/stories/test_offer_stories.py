"""Offers from abandonment to mailbox: decided on memory's twin of the broker, sent over real SMTP."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.events.cart import CartAbandoned, CartConverted, CartLine, CartScored, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.mesh import MeshHeartbeat
from mesh.events.offer import (
    OfferClaimed,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferSent,
    OfferWithdrawn,
)
from mesh.events.order import PurchaseMarked
from mesh.events.user import Recommendation
from mesh.money import Money
from mesh.profiles import customer_digest, read_profile, visitor_digest
from mesh.publish import Draft
from mesh.runtime.run import running
from notifications.channels.service import service as channels
from notifications.inbox.server import inbox
from notifications.inbox.store import Inbox
from notifications.journeys import documents
from notifications.offers import service as offers
from services.identity import service as identity

LINE = CartLine(product_id="p1", quantity=2, price=Money(amount=4500, currency="EUR"), name="Lamp")


class Street:
    """A shop in one region: what gateway, carts and scoring would say, said by hand."""

    def __init__(self, regions, region="us", others=("eu",)):
        self.mesh = Mesh(regions.broker(region), "tests", others=others)

    async def identify(self, visitor, email=None, **more):
        email = email or f"{visitor}@example.test"
        await self.mesh.publish(CustomerIdentified(visitor_id=visitor, email=email, **more))
        await self.mesh.publish(ConsentChanged(visitor_id=visitor, channel="email", granted=True))

    async def fill(self, cart, visitor, **more):
        await self.mesh.publish(CartUpdated(cart_id=cart, visitor_id=visitor, lines=(LINE,), **more))

    async def leave(self, cart, visitor, *, named=None, **more):
        named = named or f"left-{cart}"
        now = datetime.now(UTC)
        told = CartAbandoned(
            cart_id=cart,
            visitor_id=visitor,
            lines=(LINE,),
            total=LINE.price * 2,
            left_at=now - timedelta(minutes=30),
            due=now,
            **more,
        )
        await self.mesh.publish(Draft(event=told, id=named))
        return named

    async def score(self, cart, visitor, named):
        told = CartScored(
            cart_id=cart,
            visitor_id=visitor,
            abandonment_id=named,
            propensity=0.2,
            model_version="base-rate",
            reasons=(),
            recommended=(Recommendation(product_id="p9", reason="popular in the shop", price=LINE.price),),
        )
        await self.mesh.publish(told)

    async def all(self, cart, kind):
        return [one.event for one in (await self.mesh.history(cart, "cart", "offer")).of(kind)]


@pytest.fixture
def street(regions):
    return Street(regions)


@pytest.fixture
async def box(tmp_path, monkeypatch) -> AsyncIterator[Inbox]:
    async with inbox(tmp_path / "inbox") as opened:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(opened.smtp_port))
        monkeypatch.setenv("CARTMESH_SEND_AGAIN_AFTER", "50ms")
        monkeypatch.setenv("CARTMESH_JOURNEY_SCORE_LIMIT", "100ms")
        yield opened


@asynccontextmanager
async def at_work(regions, *services, region="us", others=("eu",)):
    async with AsyncExitStack() as stack:
        for service in services or (offers, channels, identity):
            mesh = Mesh(regions.broker(region), service.name, others=others)
            await stack.enter_async_context(running(service, mesh))
        yield


async def test_a_left_and_scored_cart_gets_its_mail_and_card(regions, street, box, eventually):
    """The whole way: abandoned, scored, decided with every check, claimed, in the mailbox, recorded."""
    async with at_work(regions):
        await street.identify("ada", name="Ada", locale="de-DE")
        await street.fill("c1", "ada")

        await street.score("c1", "ada", await street.leave("c1", "ada"))
        (mail,) = await box.wait_for(1)
        sent = await eventually(lambda: _both(street, "c1"))

        (decided,) = await street.all("c1", OfferDecided)
    assert decided.outcome == "approved"
    assert all(check.passed for check in decided.checks)
    assert mail.offer_id == decided.offer_id
    assert {one.channel for one in sent} == {"email", "onsite"}
    (by_mail,) = [one for one in sent if one.channel == "email"]
    assert mail.message_id == by_mail.message_id
    (card,) = [one.card for one in sent if one.card]
    assert card.coupon == decided.coupon
    assert card.body.startswith("Lamp: 81,00")
    message = box.opened(mail)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert decided.coupon in message.get_body(("plain",)).get_content()
    assert decided.coupon in message.get_body(("html",)).get_content()


async def _both(street, cart):
    sent = await street.all(cart, OfferSent)
    return sent if len(sent) == 2 else None


async def test_a_missing_score_does_not_hold_up_the_offer(regions, street, box):
    """With the scorer dead the offer goes out when the score limit is over."""
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")

        await street.leave("c1", "ada")
        await box.wait_for(1)

        (decided,) = await street.all("c1", OfferDecided)
    assert decided.propensity is None
    assert decided.outcome == "approved"


async def test_redelivery_and_late_scores_change_nothing(regions, street, box, eventually):
    """However often a cart's score and timer come, there is one decision and one mail."""
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")
        named = await street.leave("c1", "ada")
        await asyncio.gather(*(street.score("c1", "ada", named) for _ in range(5)))
        await box.wait_for(1)
        await street.score("c1", "ada", named)
        await street.fill("c2", "ada")
        await street.score("c2", "ada", await street.leave("c2", "ada"))

        await box.wait_for(2)

        assert len(await street.all("c1", OfferDecided)) == 1
    assert len({mail.message_id for mail in box.mails}) == len(box.mails) == 2


@pytest.mark.parametrize("how", ["changed", "bought", "bought another cart", "bought elsewhere"])
async def test_a_cart_that_moved_on_is_dropped_and_says_so(regions, street, box, eventually, how):
    """Nothing is silent: the decision is there, dropped, with the reason."""
    street_in_eu = Street(regions, "eu", ("us",))
    async with at_work(regions):
        await street.identify("ada", customer_id="k1")
        await street.fill("c1", "ada")
        named = "left-c1"
        if how == "bought elsewhere":
            customer = customer_digest("k1")
            await street_in_eu.mesh.publish(PurchaseMarked(shopper=customer, order_id="o1"))
            await eventually(lambda: street.mesh.last(PurchaseMarked, customer, region="eu"))
        await street.leave("c1", "ada", named=named)
        if how == "changed":
            await street.fill("c1", "ada")
        if how == "bought another cart":
            device = visitor_digest("ada")
            await street.mesh.publish(PurchaseMarked(shopper=device, order_id="o2"))
        if how == "bought":
            await street.mesh.publish(CartConverted(cart_id="c1", order_id="o1", visitor_id="ada"))
        await street.score("c1", "ada", named)

        (decided,) = await eventually(lambda: street.all("c1", OfferDecided))

    assert (decided.outcome, decided.reason) == ("dropped", "cart moved on" if how == "changed" else "bought")
    assert box.mails == []


async def test_the_cap_holds_exactly_between_carts_that_fall_due_at_once(regions, street, box, eventually, monkeypatch):
    """Ten carts of one shopper due in the same moment, a cap of two: two mails."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "2")
    carts = [f"c{at}" for at in range(10)]
    async with at_work(regions):
        await street.identify("ada")
        for cart in carts:
            await street.fill(cart, "ada")
        named = [await street.leave(cart, "ada") for cart in carts]
        await asyncio.gather(*(street.score(cart, "ada", name) for cart, name in zip(carts, named, strict=True)))

        decisions = await eventually(lambda: _decisions(street, carts), within=20)
        await box.wait_for(2)

    outcomes = sorted(one.outcome for one in decisions)
    assert outcomes == ["approved"] * 2 + ["dropped"] * 8
    assert {one.reason for one in decisions if one.outcome == "dropped"} == {"frequency cap"}
    assert len(box.mails) == 2


async def _decisions(street, carts):
    found = [one for cart in carts for one in await street.all(cart, OfferDecided)]
    return found if len(found) == len(carts) else None


async def test_a_held_offer_is_decided_again_when_its_time_has_come(regions, street, box, eventually, monkeypatch):
    """A shopper of two regions is held while the other is out of date, and sent once it is not."""
    monkeypatch.setenv("CARTMESH_JOURNEY_STALE_AFTER", "5s")
    street_in_eu = Street(regions, "eu", ("us",))
    async with at_work(regions):
        await street.identify("ada")
        await street_in_eu.fill("c0", "ada")
        await eventually(lambda: _knows_region(street, "ada"))
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))
        (held,) = await eventually(lambda: street.all("c1", OfferDecided))
        beat = MeshHeartbeat(region="eu", at=datetime.now(UTC) + timedelta(seconds=30))

        await street_in_eu.mesh.publish(beat)
        await box.wait_for(1)

        decisions = await street.all("c1", OfferDecided)
    assert (held.outcome, held.reason) == ("held", "region out of date")
    assert [one.outcome for one in decisions] == ["held"] * (len(decisions) - 1) + ["approved"]
    assert len({one.offer_id for one in decisions}) == 1
    assert [one.attempt for one in decisions] == list(range(1, len(decisions) + 1))


async def _knows_region(street, visitor):
    return (await read_profile(street.mesh, visitor)).regions


async def test_an_abandonment_overtaken_while_held_ends_in_a_decision(regions, street, box, eventually, monkeypatch):
    """Held for the night, then left again: the first is dropped as moved on, and its timer becomes the second's."""
    now = datetime.now(UTC)
    quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", quiet)
    async with at_work(regions):
        await street.identify("ada", time_zone="UTC")
        await street.fill("c1", "ada")
        first = await street.leave("c1", "ada", named="first")
        await street.score("c1", "ada", first)
        (held,) = await eventually(lambda: street.all("c1", OfferDecided))
        await street.fill("c1", "ada")

        await street.leave("c1", "ada", named="second")
        decisions = await eventually(lambda: _three(street))

    assert held.outcome == "held"
    told = [(one.abandonment_id, one.outcome, one.reason) for one in decisions]
    assert sorted(told[1:]) == [("first", "dropped", "cart moved on"), ("second", "held", "quiet hours")]
    assert box.mails == []


async def _three(street):
    found = await street.all("c1", OfferDecided)
    return found if len(found) == 3 else None


async def test_a_temporary_refusal_is_tried_again_until_taken(regions, street, box):
    """451, 451, then 250: one mail, two deferrals, three claims."""
    answers = iter(["451 try later", "450 busy"])
    box._refuse = lambda _: next(answers, None)
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))

        await box.wait_for(1)

        assert [one.attempt for one in await street.all("c1", OfferDeferred)] == [1, 2]
        assert [one.attempt for one in await street.all("c1", OfferClaimed)] == [1, 2, 3]


async def test_a_permanent_refusal_is_recorded_without_the_address(regions, street, box, eventually):
    """550 ends the offer, and the reason carries no personal data to other regions."""
    box._refuse = lambda address: f"550 <{address}>: no such user"
    async with at_work(regions):
        await street.identify("ada", "ada.lovelace@example.test")
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))

        (failed,) = await eventually(lambda: street.all("c1", OfferFailed))

    assert failed.reason.startswith("550")
    assert "lovelace" not in failed.reason
    assert box.attempts == ["ada.lovelace@example.test"]


async def test_no_mail_server_is_temporary_and_ends_in_a_record(regions, street, box, eventually, monkeypatch):
    """Nobody listens: nothing was handed over, so it is tried again, and given up in the end."""
    monkeypatch.setenv("CARTMESH_SMTP_PORT", "1")
    monkeypatch.setenv("CARTMESH_SEND_ATTEMPTS", "2")
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))

        (failed,) = await eventually(lambda: street.all("c1", OfferFailed))

    assert failed.reason.startswith("gave up after 2 attempts: no mail server at 127.0.0.1:1")


async def test_a_crash_between_claim_and_record_never_sends_twice(regions, street, box, eventually):
    """A claim without a record, by a process that is gone: the offer fails as unknown."""
    async with at_work(regions, offers):
        await street.identify("ada")
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))
        (decided,) = await eventually(lambda: street.all("c1", OfferDecided))
    claim = OfferClaimed(cart_id="c1", offer_id=decided.offer_id, channel="email", attempt=1)
    await street.mesh.publish(claim)

    async with at_work(regions, channels):
        (failed,) = await eventually(lambda: street.all("c1", OfferFailed))

    assert failed.reason == "unknown after a crash; not sent twice"
    assert box.attempts == []


@pytest.mark.parametrize("what", ["bought", "unsubscribed"])
async def test_what_happens_between_decision_and_sending_withdraws_the_offer(regions, street, box, eventually, what):
    """The shopper bought, or unsubscribed, while the channel was down: nothing is sent."""
    async with at_work(regions, offers):
        await street.identify("ada")
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))
        (decided,) = await eventually(lambda: street.all("c1", OfferDecided))
    if what == "bought":
        await street.mesh.publish(CartConverted(cart_id="c1", order_id="o9", visitor_id="ada"))
    else:
        gone = CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id=decided.offer_id)
        await street.mesh.publish(gone)

    async with at_work(regions, channels):
        withdrawn = await eventually(lambda: _withdrawn(street))

    assert withdrawn.reason.startswith(what)
    assert box.attempts == []


async def _withdrawn(street):
    found = await street.all("c1", OfferWithdrawn)
    return next((one for one in found if one.channel == "email"), None)


async def test_a_broken_template_fails_its_offer_and_nothing_else(
    regions, street, box, eventually, monkeypatch, tmp_path
):
    """The offer's end names the template and its line; the service goes on."""
    from notifications.templates import FOLDER

    folder = tmp_path / "templates"
    (folder / "abandoned-cart").mkdir(parents=True)
    good = (FOLDER / "abandoned-cart" / "en.mjml.j2").read_text()
    (folder / "abandoned-cart" / "en.mjml.j2").write_text(good)
    evil = (
        good.partition("{% extends")[0]
        + "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    (folder / "abandoned-cart" / "de.mjml.j2").write_text(evil)
    monkeypatch.setenv("CARTMESH_TEMPLATES", str(folder))
    async with at_work(regions):
        await street.identify("ada", locale="de")
        await street.identify("bob", locale="en")
        for cart, visitor in (("c1", "ada"), ("c2", "bob")):
            await street.fill(cart, visitor)
            await street.score(cart, visitor, await street.leave(cart, visitor))

        failed = await eventually(lambda: street.all("c1", OfferFailed))
        (mail,) = await box.wait_for(1)

    assert "abandoned-cart/de.mjml.j2 line" in failed[0].reason
    assert "too long" in failed[0].reason
    assert mail.recipients == ("bob@example.test",)


async def test_no_offer_is_decided_behind_a_purchase(regions, street, box, eventually, monkeypatch):
    """Purchases landing around the very moment of decision: whatever is stored behind one is no offer."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "1000")
    carts = [f"c{at}" for at in range(100)]
    async with at_work(regions, offers):
        await street.identify("ada")
        for cart in carts:
            await street.fill(cart, "ada")

        async def race(at, cart):
            await street.score(cart, "ada", await street.leave(cart, "ada"))
            await asyncio.sleep(at % 20 / 1000)
            await street.mesh.publish(CartConverted(cart_id=cart, order_id=f"o{at}", visitor_id="ada"))

        await asyncio.gather(*(race(at, cart) for at, cart in enumerate(carts)))
        await eventually(lambda: _decisions(street, carts), within=30)

        stories = [await street.mesh.history(cart, "cart", "offer") for cart in carts]
    behind = [
        one.event
        for history in stories
        for one in history.of(OfferDecided)
        if one.sequence > history.last(CartConverted).sequence
    ]
    assert all((one.outcome, one.reason) == ("dropped", "bought") for one in behind)
    assert behind  # otherwise nothing was raced


BASE = """template = "abandoned-cart"
quiet = ""
"""


@pytest.fixture
def journeys(tmp_path, monkeypatch):
    """Writes journeys by name; the services start with these and no others."""
    folder = tmp_path / "journeys"
    folder.mkdir()
    monkeypatch.setenv("CARTMESH_JOURNEYS", str(folder))

    def write(**fields):
        for name, text in fields.items():
            (folder / f"{name}.toml").write_text(BASE + text)

    return write


async def test_two_journeys_on_one_cart_decide_each_for_itself(regions, street, box, journeys, eventually):
    """Two decisions with their own run, offer and coupon, and a mail for each."""
    journeys(first="discount_percent = 5", second="discount_percent = 10")
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")

        await street.score("c1", "ada", await street.leave("c1", "ada"))
        await eventually(lambda: _sent(street, 4))

    decisions = await street.all("c1", OfferDecided)
    assert [(one.journey, one.run_id, one.outcome) for one in decisions] == [
        ("first", "first--c1", "approved"),
        ("second", "second--c1", "approved"),
    ]
    assert len({one.offer_id for one in decisions}) == len({one.coupon for one in decisions}) == 2
    assert {mail.offer_id for mail in box.mails} == {one.offer_id for one in decisions}


async def test_the_journey_of_higher_priority_gets_the_last_contact(regions, street, box, journeys, eventually):
    """A cap of one, five carts, each time the same journey wins; the other is dropped by the cap."""
    journeys(low="cap = 1", high="cap = 1\npriority = 5")
    carts = [f"c{at}" for at in range(5)]
    async with at_work(regions):
        for cart in carts:
            await street.identify(cart)
            await street.fill(cart, cart)
            await street.leave(cart, cart)

        found = await eventually(lambda: _decided(street, carts, 10), within=20)
        await box.wait_for(5)

    assert {(one.journey, one.outcome, one.reason) for one in found} == {
        ("high", "approved", ""),
        ("low", "dropped", "frequency cap"),
    }
    assert len(box.mails) == 5


async def test_held_runs_of_one_cart_have_timers_of_their_own(regions, street, box, journeys, eventually):
    """Both are held while another region is silent and both are decided afterwards, by priority."""
    journeys(low='cap = 1\nstale_after = "5s"', high='cap = 1\npriority = 5\nstale_after = "5s"')
    eu = Street(regions, "eu", ("us",))
    async with at_work(regions):
        await street.identify("ada")
        await eu.fill("c0", "ada")
        await eventually(lambda: _knows_region(street, "ada"))
        await street.fill("c1", "ada")
        await street.score("c1", "ada", await street.leave("c1", "ada"))
        held = await eventually(lambda: _decided(street, ["c1"], 2))
        beating = asyncio.create_task(_beat(eu))
        found = await eventually(lambda: _final(street, "c1", 2), within=30)
        beating.cancel()

    assert {one.outcome for one in held} == {"held"}
    assert {(one.journey, one.outcome, one.reason) for one in found} == {
        ("high", "approved", ""),
        ("low", "dropped", "frequency cap"),
    }
    per_attempt = Counter((one.journey, one.attempt) for one in await street.all("c1", OfferDecided))
    assert set(per_attempt.values()) == {1}


async def test_a_purchase_ends_every_run_of_the_cart(regions, street, box, journeys, eventually):
    """Nothing is approved after it, whatever the journey."""
    journeys(first="", second="")
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")
        named = await street.leave("c1", "ada")
        await street.mesh.publish(CartConverted(cart_id="c1", order_id="o1", visitor_id="ada"))

        await street.score("c1", "ada", named)
        found = await eventually(lambda: _decided(street, ["c1"], 2))

    assert {(one.outcome, one.reason) for one in found} == {("dropped", "bought")}
    assert box.mails == []


async def test_a_stopped_journey_starts_nothing(regions, street, box, journeys, eventually):
    """`active = false` takes a journey out; the others go on."""
    journeys(running="", stopped="active = false")
    async with at_work(regions):
        await street.identify("ada")
        await street.fill("c1", "ada")

        await street.score("c1", "ada", await street.leave("c1", "ada"))
        await eventually(lambda: _sent(street, 2))

    assert [one.journey for one in await street.all("c1", OfferDecided)] == ["running"]


async def _sent(street, count):
    found = await street.all("c1", OfferSent)
    return found if len(found) == count else None


async def _decided(street, carts, count):
    found = [one for cart in carts for one in await street.all(cart, OfferDecided)]
    return found if len(found) >= count else None


async def _final(street, cart, count):
    found = [one for one in await street.all(cart, OfferDecided) if one.outcome != "held"]
    return found if len(found) == count else None


async def _beat(eu):
    while True:
        await eu.mesh.publish(MeshHeartbeat(region="eu", at=datetime.now(UTC)))
        await asyncio.sleep(1)


async def test_a_published_journey_takes_effect_while_services_run_in_every_region(regions, street, box, eventually):
    """The next cart of either region is decided with it, and the decision names the revision."""
    eu = Street(regions, "eu", ("us",))
    async with at_work(regions, offers), at_work(regions, offers, region="eu", others=("us",)):
        await _leave_and_decide(street, "before", eventually)

        await documents.publish("abandoned-cart", BASE + "discount_percent = 7", "ada", street.mesh)
        await eventually(lambda: _in_force(eu.mesh, 1))
        await eventually(lambda: _in_force(street.mesh, 1))
        assert [one.document.revision for one in await documents.versions("abandoned-cart", eu.mesh)] == [1, 0]
        here = await eventually(lambda: _decided_with(street, 1, eventually), within=20)
        there = await eventually(lambda: _decided_with(eu, 1, eventually), within=20)

    before = (await street.all("before", OfferDecided))[-1]
    assert (before.journey_revision, before.discount_percent) == (0, 10)
    assert here.discount_percent == there.discount_percent == 7


async def test_files_seed_an_empty_bucket_and_never_overwrite_what_people_published(regions, street, journeys):
    """Not a changed file, and no new one."""
    journeys(first="cap = 1")
    folder = os.environ["CARTMESH_JOURNEYS"]
    await documents.seed(folder, street.mesh)
    journeys(first="cap = 2")
    await documents.seed(folder, street.mesh)
    unchanged = await street.mesh.state(documents.JOURNEYS).get("first")

    await documents.publish("first", BASE + "cap = 3", "ada", street.mesh)
    journeys(second="cap = 4")
    await documents.seed(folder, street.mesh)

    assert (unchanged.revision, unchanged.source) == (0, BASE + "cap = 1")
    assert [(name, one.revision) async for name, one in street.mesh.state(documents.JOURNEYS).items()] == [("first", 1)]


async def test_every_revision_is_kept_and_can_be_published_again(regions, street, journeys):
    """The seed too; the history says which is in force."""
    journeys(first="cap = 1")
    await documents.seed(os.environ["CARTMESH_JOURNEYS"], street.mesh)
    await documents.publish("first", BASE + "cap = 2", "ada", street.mesh)

    await documents.revert("first", 0, "grace", street.mesh)

    found = await documents.versions("first", street.mesh)
    assert [(one.document.revision, one.document.author, one.state) for one in found] == [
        (2, "grace", "in force"),
        (1, "ada", "replaced"),
        (0, "seed", "replaced"),
    ]
    assert found[0].document.source == found[2].document.source == BASE + "cap = 1"


async def test_revisions_published_on_both_sides_of_a_cut_leave_one_in_force_and_lose_none(
    regions, street, journeys, eventually
):
    """The later one is in force in both regions; the other stays in both histories."""
    eu = Street(regions, "eu", ("us",))
    first = await documents.publish("sale", BASE + "cap = 1", "ada", street.mesh)
    second = await documents.publish("sale", BASE + "cap = 2", "grace", eu.mesh)
    assert first.revision == second.revision == 1
    journeys(other="")

    async with at_work(regions, offers), at_work(regions, offers, region="eu", others=("us",)):
        await eventually(lambda: _in_force(street.mesh, 1, "eu", "sale"))

        for mesh in (street.mesh, eu.mesh):
            found = await eventually(lambda mesh=mesh: _both_known(mesh))
            assert [(one.document.author, one.state) for one in found] == [
                ("grace", "in force"),
                ("ada", "lost to the concurrent revision of eu"),
            ]


async def test_a_wrong_document_is_not_published(regions, street, journeys):
    """It says what is wrong, and nothing is stored."""
    with pytest.raises(DeclarationError, match="unknown discont"):
        await documents.publish("sale", BASE + "discont = 5", "ada", street.mesh)

    assert await documents.versions("sale", street.mesh) == []


async def _leave_and_decide(street, cart, eventually):
    await street.identify(cart)
    await street.fill(cart, cart)
    await street.score(cart, cart, await street.leave(cart, cart))
    return (await eventually(lambda: street.all(cart, OfferDecided)))[-1]


async def _decided_with(street, revision, eventually):
    decided = await _leave_and_decide(street, f"c{uuid4().hex}", eventually)
    return decided if decided.journey_revision == revision else None


async def _in_force(mesh, revision, region="us", name="abandoned-cart"):
    found = await mesh.state(documents.JOURNEYS).get(name)
    return found is not None and (found.revision, found.region) == (revision, region)


async def _both_known(mesh):
    found = await documents.versions("sale", mesh)
    return found if len(found) == 2 else None
