"""Sending of decided offers over real SMTP and as a card: never twice, and with a record of what became of each."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.channels import EMAIL
from mesh.events.cart import CartAbandoned, CartConverted, CartLine, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import (
    OfferClaimed,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferRequested,
    OfferSent,
    OfferWithdrawn,
)
from mesh.events.order import PurchaseMarked
from mesh.money import Money
from mesh.profiles import visitor_digest
from mesh.publish import Draft
from notifications.channels.reading import read_delivery
from notifications.channels.service import service as channels
from notifications.offers import service as offers
from tests.approved_offer import approved_offer
from tests.stories.offers.conftest import LINE


async def test_a_left_and_scored_cart_gets_its_mail_and_card(at_work, shop, box, eventually):
    """The whole way: abandoned, scored, decided with every check, claimed, in the mailbox, on a page, recorded."""
    async with at_work():
        await shop.identify("ada", name="Ada", locale="de-DE")
        await shop.fill("c1", "ada")

        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (mail,) = await box.wait_for(1)
        await shop.open_page("c1")
        sent = await eventually(lambda: _both(shop, "c1"))

        (decided,) = await shop.all("c1", OfferDecided)
        claimed = await shop.all("c1", OfferClaimed)
    assert {run_fields_of(one) for one in (*claimed, *sent)} == {run_fields_of(decided)}
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


def run_fields_of(event):
    return event.run_id, event.journey, event.journey_revision, event.template_revision


async def _both(shop, cart):
    sent = await shop.all(cart, OfferSent)
    return sent if len(sent) == 2 else None


async def test_a_delivery_reads_no_more_than_it_looks_at(shop):
    """Each kind that the cart has costs another answer for each mail: scores and decisions are left out."""
    decided = approved_offer(1)
    await shop.fill("c1", "v1")
    await shop.score("c1", "v1", await shop.leave("c1", "v1"))
    await shop.mesh.publish(decided)

    reading = await read_delivery(decided, shop.mesh, EMAIL)

    assert [type(one.event) for one in reading.history] == [CartUpdated, CartAbandoned]


@pytest.mark.parametrize("why", ["refused", "never asked", "no address", "unsubscribed"])
async def test_without_consent_for_mails_there_is_the_card_on_the_site(at_work, shop, box, eventually, why):
    """The card needs none. Each channel is decided by itself: the decision says what closed e-mail."""
    async with at_work():
        if why != "no address":
            await shop.mesh.publish(CustomerIdentified(visitor_id="ada", email="ada@example.test"))
        if why in ("refused", "unsubscribed"):
            granted = why == "unsubscribed"
            await shop.mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=granted))
        if why == "unsubscribed":
            await shop.mesh.publish(CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id="o"))
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))

        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided), within=60)
        await shop.open_page("c1")
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent), within=60)

    assert (sent.channel, sent.card.coupon) == ("onsite", decided.coupon)
    assert (decided.outcome, decided.channels) == ("approved", ("onsite",))
    assert {one.channel for one in decided.checks if not one.passed} == {"email"}
    assert box.attempts == []


async def test_a_temporary_refusal_is_tried_again_until_taken(at_work, shop, box):
    """451, 450, then 250: one mail, two deferrals, and a claim of the attempt in which it was handed over."""
    answers = iter(["451 try later", "450 busy"])
    box._refuse = lambda _: next(answers, None)
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))

        await box.wait_for(1)

        deferred = await shop.all("c1", OfferDeferred)
        assert [one.attempt for one in deferred] == [1, 2]
        assert {run_fields_of(one)[0] for one in deferred} == {"abandoned-cart--c1"}
        assert [one.attempt for one in await shop.all("c1", OfferClaimed)] == [3]


async def test_a_permanent_refusal_is_recorded_without_the_address(at_work, shop, box, eventually):
    """550 ends the offer, and the reason carries no personal data to other regions."""
    box._refuse = lambda address: f"550 <{address}>: no such user"
    async with at_work():
        await shop.identify("ada", "ada.lovelace@example.test")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))

        (failed,) = await eventually(lambda: shop.all("c1", OfferFailed))

    assert run_fields_of(failed)[:2] == ("abandoned-cart--c1", "abandoned-cart")
    assert failed.reason.startswith("550")
    assert "lovelace" not in failed.reason
    assert box.attempts == ["ada.lovelace@example.test"]


async def test_no_mail_server_is_temporary_and_ends_in_a_record(at_work, shop, box, eventually, monkeypatch):
    """Nobody listens: nothing was handed over, so it is tried again, and given up in the end."""
    monkeypatch.setenv("CARTMESH_SMTP_PORT", "1")
    monkeypatch.setenv("CARTMESH_SEND_ATTEMPTS", "2")
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))

        (failed,) = await eventually(lambda: shop.all("c1", OfferFailed))

    assert failed.reason.startswith("gave up after 2 attempts: no mail server at 127.0.0.1:1")


async def test_a_crash_between_claim_and_record_never_sends_twice(at_work, shop, box, eventually):
    """A claim without a record, by a process that is gone: the offer fails as unknown."""
    async with at_work(offers):
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided))
    claim = OfferClaimed(cart_id="c1", offer_id=decided.offer_id, channel="email", attempt=1)
    await shop.mesh.publish(claim)

    async with at_work(channels):
        (failed,) = await eventually(lambda: shop.all("c1", OfferFailed))

    assert failed.reason == "unknown after a crash; not sent twice"
    assert box.attempts == []


async def test_a_card_is_made_once_and_only_for_a_page(at_work, shop, box, eventually):
    """Without a page there is the decision alone; however many pages ask for it, there is one card."""
    async with at_work():
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        await eventually(lambda: shop.all("c1", OfferDecided), within=60)
        await shop.fill("c2", "bob")
        await shop.score("c2", "bob", await shop.leave("c2", "bob"))
        await eventually(lambda: shop.all("c2", OfferDecided), within=60)

        for _ in range(3):
            await shop.open_page("c2")
        await eventually(lambda: shop.all("c2", OfferSent), within=60)
        await shop.mesh.publish(OfferRequested(cart_id="c2", visitor_id="bob", offer_id="unknown"))

        unseen = await shop.all("c1", OfferSent)
    (card,) = await shop.all("c2", OfferSent)
    assert (unseen, card.channel, card.visitor_id) == ([], "onsite", "bob")
    assert [one for cart in ("c1", "c2") for one in await shop.all(cart, OfferWithdrawn)] == []


@pytest.mark.parametrize("what", ["bought", "refused"])
async def test_what_happens_before_a_page_opens_withdraws_the_card(at_work, shop, eventually, what):
    """Who bought, or refused offers on the site, since the decision is not shown the card when they come back."""
    async with at_work():
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided), within=60)
        if what == "bought":
            await shop.mesh.publish(CartConverted(cart_id="c1", order_id="o9", visitor_id="ada"))
        else:
            await shop.mesh.publish(ConsentChanged(visitor_id="ada", channel="onsite", granted=False))

        await shop.open_page("c1")
        (withdrawn,) = await eventually(lambda: shop.all("c1", OfferWithdrawn), within=60)

    assert run_fields_of(withdrawn) == run_fields_of(decided)
    assert (withdrawn.channel, withdrawn.reason.startswith(f"{what} before it was shown")) == ("onsite", True)
    assert await shop.all("c1", OfferSent) == []


@pytest.mark.parametrize("what", ["bought", "unsubscribed"])
async def test_what_happens_between_decision_and_sending_withdraws_the_offer(at_work, shop, box, eventually, what):
    """The shopper bought, or unsubscribed, while the channel was down: nothing is sent."""
    async with at_work(offers):
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided))
    if what == "bought":
        await shop.mesh.publish(CartConverted(cart_id="c1", order_id="o9", visitor_id="ada"))
    else:
        gone = CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id=decided.offer_id)
        await shop.mesh.publish(gone)

    async with at_work(channels):
        withdrawn = await eventually(lambda: _withdrawn(shop))

    assert run_fields_of(withdrawn) == run_fields_of(decided)
    assert withdrawn.reason.startswith(what)
    assert box.attempts == []


async def _withdrawn(shop):
    found = await shop.all("c1", OfferWithdrawn)
    return next((one for one in found if one.channel == "email"), None)


VASE = CartLine(product_id="p2", quantity=1, price=Money(amount=2000, currency="EUR"), name="Vase")


async def _leave_behind_a_purchase_elsewhere(shop, far, lines, eventually):
    """The lamp is bought in eu and listed here again; the purchase arrives when the cart is left already."""
    now = datetime.now(UTC)

    async def list_lines(ago, *listed):
        updated = CartUpdated(cart_id="c1", visitor_id="ada", lines=listed)
        await shop.mesh.publish(Draft(event=updated, time=now - timedelta(seconds=ago)))

    await shop.identify("ada")
    await list_lines(60, LINE)
    await list_lines(10, *lines)
    mark = PurchaseMarked(shopper=visitor_digest("ada"), order_id="o1", bought={LINE.product_id: LINE.quantity})
    await far.mesh.publish(Draft(event=mark, time=now - timedelta(seconds=30)))
    await eventually(lambda: shop.mesh.last(PurchaseMarked, mark.shopper, region="eu"), within=60)
    left = CartAbandoned(
        cart_id="c1",
        visitor_id="ada",
        lines=lines,
        total=Money.sum(line.price * line.quantity for line in lines),
        left_at=now,
        due=now,
    )
    await shop.mesh.publish(Draft(event=left, id="left-c1"))
    await shop.score("c1", "ada", "left-c1")


async def test_lines_that_turn_out_to_be_bought_are_not_in_the_mail(at_work, shop, shop_in, box, eventually):
    """Purchases are looked at again when the offer is sent: the mail shows what is left, and the sum of that."""
    async with at_work():
        await _leave_behind_a_purchase_elsewhere(shop, shop_in("eu"), (LINE, VASE), eventually)

        (mail,) = await box.wait_for(1, timeout=60)

    text = box.opened(mail).get_body(("plain",)).get_content()
    assert "Vase" in text
    assert "Lamp" not in text
    assert "110.00" not in text


async def test_an_offer_of_bought_lines_alone_is_withdrawn(at_work, shop, shop_in, box, eventually):
    """Nothing is left to be offered: the record names the order."""
    async with at_work():
        await _leave_behind_a_purchase_elsewhere(shop, shop_in("eu"), (LINE,), eventually)

        withdrawn = await eventually(lambda: _withdrawn(shop), within=60)

    assert withdrawn.reason == "bought before it was sent: order o1"
    assert box.mails == []


async def test_a_broken_template_fails_its_offer_and_nothing_else(
    at_work, shop, box, eventually, monkeypatch, tmp_path
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
    async with at_work():
        await shop.identify("ada", locale="de")
        await shop.identify("bob", locale="en")
        for cart, visitor in (("c1", "ada"), ("c2", "bob")):
            await shop.fill(cart, visitor)
            await shop.score(cart, visitor, await shop.leave(cart, visitor))

        failed = await eventually(lambda: shop.all("c1", OfferFailed))
        (mail,) = await box.wait_for(1)

    assert "abandoned-cart/de.mjml.j2 line" in failed[0].reason
    assert "too long" in failed[0].reason
    assert mail.recipients == ("bob@example.test",)
