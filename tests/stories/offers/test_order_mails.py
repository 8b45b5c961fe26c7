"""Mails about orders over real SMTP: each once, in the buyer's language, whatever they refused of offers."""

import pytest

from mesh.envelope import derive_id
from mesh.errors import Unavailable
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.mail import MailAdvanced
from mesh.events.order import (
    Command,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryAddressed,
    OrderedPieces,
    OrderReaddressed,
    OrderRefunded,
)
from mesh.events.shipment import ShipmentDelivered, ShipmentDispatched
from mesh.money import Money
from mesh.publish import Draft
from notifications.channels import order_messages
from notifications.channels.service import service as channels
from tests.stories.offers.conftest import LINE

TOTAL = LINE.price * LINE.quantity
CONFIRMED = OrderConfirmed(order_id="o1", lines=(LINE,), total=TOTAL)
PATIENCE = 60.0


@pytest.fixture
async def ordered(shop, box):
    """Ada, who speaks German and refuses every offer, has ordered to a colleague's address."""
    await shop.mesh.publish(CustomerIdentified(visitor_id="ada", email="ada@example.test", locale="de-DE"))
    await shop.mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=False))
    await shop.mesh.publish(CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id="o"))
    address = OrderDeliveryAddressed(order_id="o1", address_id="a1", name="Grace", email="grace@example.test")
    await shop.mesh.publish(address)
    command = Command(key="k", body="b")
    created = OrderCreated(
        order_id="o1",
        lines=(LINE,),
        total=TOTAL,
        payment_method="tok",
        command=command,
        visitor_id="ada",
        address_id="a1",
    )
    await shop.mesh.publish(created)


def cancelled(by, reason, *, left=()):
    pieces = (OrderedPieces(product_id="p1", quantity=1 if left else 2),)
    return OrderCancelled(
        order_id="o1",
        lines=pieces,
        amount=TOTAL,
        left=left,
        total=Money(amount=0, currency="EUR"),
        by=by,
        reason=reason,
    )


async def advanced(shop, mail):
    """The states of a mail, by the id that its message has."""
    history = await shop.mesh.history(mail.message_id.strip("<>").partition("@")[0], MailAdvanced)
    return [one.event for one in history]


def text(box, mail):
    return box.opened(mail).get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("event", "subject", "words"),
    [
        (CONFIRMED, "Ihre Bestellung bei Cartmesh Shop ist bestätigt", "Summe: 90,00\xa0€"),
        (cancelled("checkout", "authorise: payment.declined"), "wurde storniert", "die Zahlung wurde abgelehnt"),
        (cancelled("checkout", "reserve: stock.refused"), "wurde storniert", "ausverkauft"),
        (cancelled("checkout", "check: payment.flagged"), "wurde storniert", "leider nicht ausführen"),
        (
            cancelled("customer", "", left=(LINE,)),
            "Ein Teil Ihrer Bestellung",
            "1 \N{MULTIPLICATION SIGN} Lamp: 45,00\xa0€",
        ),
        (OrderRefunded(order_id="o1", refunded=TOTAL), "hat 90,00\xa0€ erstattet", "90,00\xa0€ auf die Karte"),
        (
            ShipmentDispatched(order_id="o1", carrier="DHL", tracking="JD7", tracking_url="https://dhl.test/JD7"),
            "ist unterwegs",
            "Sendungsnummer ist JD7",
        ),
        (ShipmentDelivered(order_id="o1"), "wurde zugestellt", "Paket zugestellt"),
    ],
)
async def test_a_buyer_who_refuses_offers_is_told_of_the_order(
    at_work, shop, box, ordered, monkeypatch, event, subject, words
):
    """To the address of the order and in the language of its shopper, with nothing there to unsubscribe from.

    With a link to the order's page of the shop, and to the carrier's of the parcel.
    """
    monkeypatch.setenv("CARTMESH_SHOP_URL", "https://shop.test")
    monkeypatch.setenv("CARTMESH_SHOP_ORDER_PATH", "/mine/{order_id}")
    async with at_work(channels):
        await shop.mesh.publish(event)

        (mail,) = await box.wait_for(1, PATIENCE)

    message = box.opened(mail)
    assert mail.recipients == ("grace@example.test",)
    assert subject.replace("\xa0", " ") in str(message["Subject"]).replace("\xa0", " ")
    assert words.lower() in text(box, mail).lower()
    assert "Guten Tag Grace!" in text(box, mail)
    assert message["List-Unsubscribe"] is None
    assert "unsubscribe" not in text(box, mail)
    assert "Bestellung ansehen: https://shop.test/mine/o1" in text(box, mail)
    tracked = "Sendung verfolgen: https://dhl.test/JD7" in text(box, mail)
    assert tracked == isinstance(event, ShipmentDispatched)


async def test_a_second_report_of_the_same_sends_no_second_mail(at_work, shop, box, ordered, eventually):
    """Another event that reports what an earlier one reported changes nothing."""
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        await box.wait_for(1, PATIENCE)
        await shop.mesh.publish(Draft(event=CONFIRMED, id="again"))
        await shop.mesh.publish(ShipmentDelivered(order_id="o1"))
        mails = await box.wait_for(2, PATIENCE)
        states = await eventually(lambda: _settled(shop, mails))

    assert [one.outcome for one in states[0]] == ["claimed", "sent"]
    assert len(box.mails) == 2
    assert "zugestellt" in text(box, box.mails[1])


async def _settled(shop, mails):
    states = [await advanced(shop, mail) for mail in mails]
    return states if all(one and one[-1].outcome == "sent" for one in states) else None


async def test_the_address_that_the_order_names_now_is_written_to(at_work, shop, box, ordered):
    """A changed address counts for every later mail."""
    await shop.mesh.publish(OrderDeliveryAddressed(order_id="o1", address_id="a2", email="new@example.test"))
    await shop.mesh.publish(OrderReaddressed(order_id="o1", address_id="a2", command=Command(key="k2", body="b")))

    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        (mail,) = await box.wait_for(1, PATIENCE)

    assert mail.recipients == ("new@example.test",)


async def test_a_mail_that_the_server_does_not_take_waits_for_it(at_work, shop, box, ordered, eventually):
    """451 twice, then 250: one mail, and the refusals on record."""
    answers = iter(["451 try later", "450 busy"])
    box._refuse = lambda _: next(answers, None)

    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        mails = await box.wait_for(1, PATIENCE)
        (states,) = await eventually(lambda: _settled(shop, mails))

    assert [(one.outcome, one.attempt) for one in states] == [
        ("deferred", 1),
        ("deferred", 2),
        ("claimed", 3),
        ("sent", 3),
    ]
    assert "grace@example.test" not in "".join(one.reason for one in states)


async def test_a_record_that_could_not_be_stored_is_stored_at_the_next_delivery(
    at_work, shop, box, ordered, eventually, monkeypatch
):
    """The mail was handed over, and its event comes again: the process knows what became of it, and sends nothing."""
    lost, record = [], order_messages._recorded

    async def lose_first(ended, mesh):
        if not lost:
            lost.append(ended)
            raise Unavailable("no quorum")
        return await record(ended, mesh)

    monkeypatch.setattr(order_messages, "_recorded", lose_first)
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        mails = await box.wait_for(1, PATIENCE)
        (states,) = await eventually(lambda: _settled(shop, mails))

    assert [one.outcome for one in states] == ["claimed", "sent"]
    assert len(lost) == len(box.mails) == 1


async def test_a_claim_of_a_process_that_is_gone_is_not_sent_again(at_work, shop, box, ordered, eventually):
    """It died between claim and record, so that nobody knows whether the mail went out: the record says so."""
    mail_id = derive_id("order mail", "o1", "order-confirmed", "")
    named = {"mail_id": mail_id, "order_id": "o1", "template": "order-confirmed"}
    await shop.mesh.publish(MailAdvanced(**named, outcome="claimed", attempt=1))

    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        failed = await eventually(lambda: _failed(shop, mail_id))

    assert failed.reason == "unknown after a crash; not sent twice"
    assert box.attempts == []


async def _failed(shop, mail_id):
    last = await shop.mesh.last(MailAdvanced, mail_id)
    return last.event if last and last.event.outcome == "failed" else None
