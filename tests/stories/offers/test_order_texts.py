"""Messages about orders by SMS, over Twilio's API: where the shop wants it, or no e-mail address is known."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.mail import MailAdvanced
from mesh.events.order import Command, OrderConfirmed, OrderCreated, OrderDeliveryAddressed, OrderRefunded
from mesh.events.shipment import ShipmentDelivered, ShipmentDispatched
from mesh.profiles import phone_digest
from mesh.publish import Draft
from mesh.settings import read
from notifications.channels import order_channel
from notifications.channels.attempts import Attempts
from notifications.channels.order_messages import OrderMessages
from notifications.channels.order_occasion import OrderMessage
from notifications.channels.service import service as channels
from notifications.documents.publishing import publish
from notifications.short_links import SHORT_LINKS
from notifications.template_variables import Shop
from notifications.templates.folder import read_folder
from notifications.templates.front_matter import front_matter
from notifications.templates.kind import TEMPLATES
from notifications.templates.render_error import RenderError
from tests.sms_receivers import SMS_SETTINGS, twilio_receiver
from tests.stories.offers.conftest import LINE

PHONE, OTHER = "+4915112345678", "+4915112345679"
TOTAL = LINE.price * LINE.quantity
CONFIRMED = OrderConfirmed(order_id="o1", lines=(LINE,), total=TOTAL)


@pytest.fixture
def twilio(monkeypatch):
    """Twilio, which text messages go to."""
    with twilio_receiver() as receiver:
        for name, value in {
            **SMS_SETTINGS,
            "TWILIO_URL": receiver.url,
            "SHOP_URL": "https://shop.test",
            "SHOP_ORDER_PATH": "/mine/{order_id}",
        }.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        yield receiver


async def switch_on(shop):
    """The shop publishes the template of confirmed orders with the switch, in each of its languages."""
    shipped = read_folder("")["order-confirmed"]
    switched = {file: text.replace("[sms]\n", '[sms]\nbeside_mail = "yes"\n') for file, text in shipped.items()}
    await publish(TEMPLATES, "order-confirmed", switched, "cli:ada", shop.mesh)


async def order(shop, *, phone=None, email=None, visitor=None):
    """An order whose address names these."""
    kept = OrderDeliveryAddressed(order_id="o1", address_id="a1", name="Grace", email=email, phone=phone)
    await shop.mesh.publish(kept)
    command = Command(key="k", body="b")
    named = {"visitor_id": visitor, "address_id": "a1", "reference": "1001"}
    created = OrderCreated(order_id="o1", lines=(LINE,), total=TOTAL, payment_method="tok", command=command, **named)
    await shop.mesh.publish(created)


async def state(shop, template="order-confirmed", once="", channel="sms"):
    """The newest state of a message."""
    none = dict.fromkeys(("email", "phone", "visitor_id", "locale"))
    message = OrderMessage(order_id="o1", template=template, once=once, data={}, **none)
    last = await shop.mesh.last(MailAdvanced, message.id_in(channel))
    return last.event if last else None


async def settled(shop, **which):
    found = await state(shop, **which)
    return found if found and found.outcome in ("sent", "failed") else None


@pytest.mark.parametrize(
    ("event", "template", "once", "words"),
    [
        (CONFIRMED, "order-confirmed", "", "your order 1001 is confirmed, €90.00. http"),
        (
            OrderRefunded(order_id="o1", refunded=TOTAL),
            "order-refunded",
            "9000",
            "€90.00 of your order 1001 is",
        ),
        (
            ShipmentDispatched(order_id="o1", carrier="DHL", tracking="JD7"),
            "order-shipped",
            "JD7",
            "way, parcel JD7. h",
        ),
        (ShipmentDelivered(order_id="o1"), "order-delivered", "", "your order 1001 has been delivered"),
    ],
)
async def test_a_buyer_without_an_address_is_texted(
    at_work, shop, twilio, box, eventually, event, template, once, words
):
    """To the order's number, although offers were refused; with a short link to the order, and nothing to end."""
    await shop.mesh.publish(ConsentChanged(visitor_id="ada", channel="sms", granted=False, by="server"))
    await shop.mesh.publish(CustomerUnsubscribed(visitor_id="ada", channel="sms", offer_id="o"))
    await order(shop, phone=PHONE, visitor="ada")
    async with at_work(channels):
        await shop.mesh.publish(event)
        found = await eventually(lambda: settled(shop, template=template, once=once))
    (message,) = twilio.messages
    code = message["Body"].rpartition("/s/")[2]

    assert (found.outcome, found.channel, found.domain) == ("sent", "sms", "")
    assert message["To"] == PHONE
    assert message["Body"].startswith("Cartmesh Shop: ")
    assert words in message["Body"]
    assert (await shop.mesh.state(SHORT_LINKS).get(code)).url == "https://shop.test/mine/o1"
    assert box.mails == []
    assert PHONE not in str([one async for one in shop.mesh.read(MailAdvanced)])


async def test_who_has_an_address_gets_the_mail_alone_until_the_shop_wants_more(at_work, shop, twilio, box, eventually):
    """Off by default: the text is not sent beside the mail, and nothing is recorded of it."""
    await order(shop, phone=PHONE, email="grace@example.test")
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        await eventually(lambda: settled(shop, channel="email"))
        await shop.mesh.publish(ShipmentDelivered(order_id="o1"))
        await box.wait_for(2)

    assert (twilio.messages, await state(shop)) == ([], None)


async def test_a_shop_that_wants_it_texts_beside_the_mail(at_work, shop, twilio, box, eventually):
    """Each once, however often it is reported; a template that is not switched on sends none."""
    await switch_on(shop)
    await order(shop, phone=PHONE, email="grace@example.test")
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        await eventually(lambda: settled(shop))
        await shop.mesh.publish(Draft(event=CONFIRMED, id="again"))
        await shop.mesh.publish(ShipmentDelivered(order_id="o1"))
        await box.wait_for(2)

    assert [one["To"] for one in twilio.messages] == [PHONE]
    assert len(box.mails) == 2


async def test_the_shoppers_number_counts_where_the_order_names_none(at_work, shop, twilio, box, eventually):
    """That which the shop's server reported; a page's is none."""
    await shop.mesh.publish(CustomerIdentified(visitor_id="ada", phone=OTHER, by="server", locale="de"))
    await shop.mesh.publish(CustomerIdentified(visitor_id="ada", phone=PHONE, by="page"))
    await order(shop, visitor="ada")
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        await eventually(lambda: settled(shop))

    assert [one["To"] for one in twilio.messages] == [OTHER]
    assert "Ihre Bestellung 1001 ist bestätigt" in twilio.messages[0]["Body"]


async def test_a_number_that_answered_stop_gets_none(at_work, shop, twilio, box, eventually):
    """As no carrier delivers any; the record says why."""
    stopped = AddressSuppressed(address=phone_digest(PHONE), suppressed=True, reason="stopped", by="owner")
    await shop.mesh.publish(stopped)
    await order(shop, phone=PHONE)
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        found = await eventually(lambda: settled(shop))

    assert (found.outcome, found.reason) == ("failed", "nothing is sent to this number: its owner answered STOP")
    assert twilio.messages == []


async def test_stop_that_comes_while_the_text_is_claimed_counts(at_work, shop, twilio, box, eventually, monkeypatch):
    """The claim is conditional on the number as it was read."""
    read, stops = order_channel.standing_of, []

    async def stop_after_reading(digest, mesh):
        found = await read(digest, mesh)
        if not stops:
            stops.append(AddressSuppressed(address=digest, suppressed=True, reason="stopped", by="owner"))
            await shop.mesh.publish(*stops)
        return found

    monkeypatch.setattr(order_channel, "standing_of", stop_after_reading)
    await order(shop, phone=PHONE)
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        found = await eventually(lambda: settled(shop))

    assert (found.outcome, twilio.messages) == ("failed", [])


@pytest.mark.parametrize(("answer", "outcome", "sent"), [((429, {"code": 20429}), "sent", 2), (None, "failed", 1)])
async def test_a_busy_provider_is_asked_again_and_a_lost_answer_is_not(
    at_work, shop, twilio, box, eventually, answer, outcome, sent
):
    """What was not taken is tried again; what may have been taken is not sent twice."""
    answers = iter([answer])
    twilio.answer = lambda _: next(answers, (201, {}))
    await order(shop, phone=PHONE)
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        found = await eventually(lambda: settled(shop))

    assert (found.outcome, len(twilio.messages)) == (outcome, sent)
    assert outcome == "sent" or found.reason.startswith("unknown: ")


async def test_a_claim_of_a_process_that_is_gone_is_not_sent_again(at_work, shop, twilio, box, eventually):
    """Nobody knows whether it handed the text over."""
    none = dict.fromkeys(("email", "phone", "visitor_id", "locale"))
    message = OrderMessage(order_id="o1", template="order-confirmed", once="", data={}, **none)
    named = {"mail_id": message.id_in("sms"), "order_id": "o1", "template": "order-confirmed", "channel": "sms"}
    await shop.mesh.publish(MailAdvanced(**named, outcome="claimed", attempt=1))
    await order(shop, phone=PHONE)
    async with at_work(channels):
        await shop.mesh.publish(CONFIRMED)
        found = await eventually(lambda: settled(shop))

    assert (found.reason, twilio.messages) == ("unknown after a crash; not sent twice", [])


async def test_what_happened_long_before_is_not_texted(shop):
    """A shop that sets the channel up later does not text what was ordered before."""
    asked = []

    class Watched:
        name, oldest, attempts = "sms", order_channel.OrderText.oldest, Attempts(1)

        async def addressed(self, message, _):
            asked.append(message.phone)

    await order(shop, phone=PHONE)
    await shop.mesh.publish(CONFIRMED)
    messages, received = OrderMessages(read(Shop), Watched()), await shop.mesh.last(OrderConfirmed, "o1")
    for ago in (timedelta(days=2), timedelta(0)):
        assert await messages.send(replace(received, stored=received.stored - ago), shop.mesh, "sms") == []

    assert asked == [PHONE]


def test_the_switch_is_yes_or_left_out_and_for_orders_alone():
    """A typing error is refused when it is written, and says what there is."""
    order_text = '+++\nkind = "order"\nsubject = "s"\npreheader = "p"\n[sms]\nbeside_mail = "%s"\n+++\n'
    assert front_matter(order_text % "yes", "en")["sms.beside_mail"] == "yes"
    for wrong in (order_text % "no", (order_text % "yes").replace('kind = "order"', 'kind = "confirmation"')):
        with pytest.raises(RenderError, match='beside_mail is "yes" or left out'):
            front_matter(wrong, "en")
