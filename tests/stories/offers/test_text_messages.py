"""Offers as text messages: by Twilio's API and by Amazon SNS over real HTTP, once, and only to who allowed them."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from mesh.channels import SMS
from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferClaimed, OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from mesh.events.profile import ProfileRefused
from mesh.profiles import phone_digest
from notifications.channels import quiet_delivery
from notifications.channels.service import service as channels
from notifications.offers import service as offers
from notifications.shopper_profile import shopper_of
from notifications.short_links import SHORT_LINKS
from services.identity import service as identity
from tests.approved_offer import approved_offer
from tests.cloud_servers import KEY, REGION, opened_cloud
from tests.cloud_servers import SECRET as AWS_SECRET
from tests.sms_receivers import NUMBER, SMS_SETTINGS, twilio_receiver

PHONE = "+4915112345678"


@pytest.fixture
def twilio(monkeypatch):
    """Twilio, which text messages go to."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CHANNELS", "sms")
    with twilio_receiver() as receiver:
        for name, value in {
            **SMS_SETTINGS,
            "TWILIO_URL": receiver.url,
            "SEND_AGAIN_AFTER": "50ms",
            "JOURNEY_SCORE_LIMIT": "100ms",
        }.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        yield receiver


async def introduce(shop, visitor="ada", *, by="server", allowed=True, phone=PHONE, **more):
    """A shopper who gave the shop a number, and was asked whether it may be written to."""
    known = {"email": f"{visitor}@example.test", "phone": phone, "by": by, **more}
    await shop.mesh.publish(CustomerIdentified(visitor_id=visitor, **known))
    if allowed is not None:
        await shop.mesh.publish(ConsentChanged(visitor_id=visitor, channel="sms", granted=allowed))


async def leave(shop, cart="c1", visitor="ada"):
    await shop.fill(cart, visitor)
    await shop.score(cart, visitor, await shop.leave(cart, visitor))


async def test_a_left_cart_gets_its_text_message(at_work, shop, twilio, eventually):
    """The whole way: decided by the channel's own checks, claimed, taken by Twilio, recorded with Twilio's id."""
    await introduce(shop, locale="de-DE")
    async with at_work():
        await leave(shop)
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent))
        (claimed,) = await shop.all("c1", OfferClaimed)
        (decided,) = await shop.all("c1", OfferDecided)
        (message,) = twilio.messages
        (cart, stop) = re.findall(r"/s/([\w-]{12})", message["Body"])
        links = [(await shop.mesh.state(SHORT_LINKS).get(code)).url for code in (cart, stop)]

    assert (message["To"], message["From"]) == (PHONE, NUMBER)
    assert message["Body"].startswith("Cartmesh Shop: 10 % auf Ihren Warenkorb: http")
    assert (sent.channel, claimed.channel, sent.message_id) == ("sms", "sms", f"SM{1:032x}")
    assert decided.channels == ("sms",)
    assert [one.name for one in decided.checks if one.channel == "sms"] == [
        "identified",
        "address",
        "consent",
        "subscribed",
    ]
    assert "/cart/c1?" in links[0]
    assert f"cartmesh=sms.{decided.offer_id}.c1" in links[0]
    assert "/unsubscribe/" in links[1]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        pytest.param({"by": "page"}, "no phone number", id="a page's word"),
        pytest.param({"phone": None}, "no phone number", id="no number"),
        pytest.param({"allowed": None}, "no consent", id="never asked"),
        pytest.param({"allowed": False}, "no consent", id="refused"),
    ],
)
async def test_nobody_is_texted_who_did_not_allow_it(at_work, shop, twilio, eventually, monkeypatch, known, reason):
    """A policy that assumes consent is for e-mail alone, and a number is what the shop's server says."""
    monkeypatch.setenv("CARTMESH_JOURNEY_ASSUME_CONSENT", "true")
    await introduce(shop, **known)
    async with at_work():
        await leave(shop)
        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided))

    assert (decided.outcome, decided.reason) == ("dropped", reason)
    assert twilio.messages == []


async def test_who_gave_a_number_and_no_address_gets_the_text_and_no_mail(
    at_work, shop, twilio, eventually, monkeypatch
):
    """The decision says plainly why no mail goes, and the message's link leads to what they allow."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CHANNELS", "email,sms")
    await introduce(shop, email=None, name="Ada")
    async with at_work():
        await leave(shop)
        await eventually(lambda: shop.all("c1", OfferSent))
        (decided,) = await shop.all("c1", OfferDecided)
        (message,) = twilio.messages

    assert (decided.outcome, decided.channels, message["To"]) == ("approved", ("sms",), PHONE)
    (closed,) = [one for one in decided.checks if one.name == "identified" and not one.passed]
    assert (closed.channel, closed.value) == ("email", "no e-mail known, only a phone number")


async def test_a_mail_alone_is_not_sent_to_who_has_a_number_alone(at_work, shop, twilio, eventually, monkeypatch):
    """The run ends with the reason, and nothing is sent by another channel instead."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CHANNELS", "email")
    await introduce(shop, email=None)
    async with at_work():
        await leave(shop)
        (decided,) = await eventually(lambda: shop.all("c1", OfferDecided))

    assert (decided.outcome, decided.reason) == ("dropped", "no e-mail address")
    assert twilio.messages == []


@pytest.mark.parametrize("by", ["page", "server"])
async def test_who_has_a_number_alone_is_heard_on_all_devices(at_work, shop, twilio, eventually, by):
    """The link in a message to one device ends messages to the other; the shop's server lifts it, no page does."""
    for device in ("phone", "laptop"):
        await introduce(shop, device, email=None, allowed=True)
    async with at_work(identity):
        await shop.mesh.publish(CustomerUnsubscribed(visitor_id="phone", channel="sms", offer_id="o"))
        await eventually(lambda: _refuses(shop, "laptop", wanted=True))
        granted = ConsentChanged(visitor_id="laptop", channel="sms", granted=True, by=by)
        await shop.mesh.publish(granted)

        async def noted():
            last = await shop.mesh.last(ProfileRefused, "laptop")
            return last is not None and not last.event.refused

        await eventually(noted)
        await eventually(lambda: _refuses(shop, "laptop", wanted=by == "page"))


async def _refuses(shop, visitor, *, wanted):
    profile, _ = await shopper_of(visitor, shop.mesh)
    return ("sms" in profile.unsubscribed) is wanted


async def test_a_channel_that_is_not_set_up_is_closed_and_says_what_to_set(at_work, shop, box, eventually, monkeypatch):
    """The other channels are used."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CHANNELS", "email,sms")
    await introduce(shop)
    await shop.identify("ada", phone=PHONE, by="server")
    async with at_work():
        await leave(shop)
        await box.wait_for(1)
        (decided,) = await shop.all("c1", OfferDecided)

    assert decided.channels == ("email",)
    (closed,) = [one for one in decided.checks if not one.passed]
    assert (closed.name, closed.value, closed.channel) == ("set up", "set CARTMESH_SMS_PROVIDER", "sms")


@pytest.mark.parametrize("what", ["unsubscribed", "refused", "suppressed", "gone"])
async def test_what_changed_since_the_decision_counts_when_it_is_sent(at_work, shop, twilio, eventually, what):
    """Consent and number are read at the moment of sending."""
    await introduce(shop)
    if what == "unsubscribed":
        await shop.mesh.publish(CustomerUnsubscribed(visitor_id="ada", channel="sms", offer_id="o"))
    elif what == "refused":
        await shop.mesh.publish(ConsentChanged(visitor_id="ada", channel="sms", granted=False))
    elif what == "suppressed":
        digest = phone_digest(PHONE)
        await shop.mesh.publish(AddressSuppressed(address=digest, suppressed=True, reason="stopped", by="owner"))
    else:
        await shop.mesh.publish(CustomerIdentified(visitor_id="ada", email="other@example.test", by="server"))
        await shop.mesh.publish(ConsentChanged(visitor_id="ada", channel="sms", granted=True, by="server"))
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("sms",)))
        kind = OfferFailed if what == "gone" else OfferWithdrawn
        (ended,) = await eventually(lambda: shop.all("c1", kind))

    expected = {
        "unsubscribed": "unsubscribed before it was sent",
        "refused": "unsubscribed before it was sent",
        "suppressed": "nothing is sent to this address: its owner answered STOP",
        "gone": "the phone number is gone",
    }
    assert ended.reason == expected[what]
    assert twilio.messages == []


async def test_a_busy_provider_is_asked_again_and_a_refusal_is_final(at_work, shop, twilio, eventually):
    """429 and 503 are tried again; what Twilio says of a number ends the offer, without the number in the reason."""
    answers = iter([(429, {"code": 20429}), (503, {})])
    twilio.answer = lambda _: next(answers, (201, {}))
    await introduce(shop)
    await introduce(shop, "bob", phone="+4915112345679")
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("sms",)))
        await eventually(lambda: shop.all("c1", OfferSent))
        twilio.answer = lambda fields: (400, {"code": 21614, "message": f"'To' number {fields['To']} is no mobile"})
        await shop.mesh.publish(approved_offer(2, visitor_id="bob", channels=("sms",)))
        (failed,) = await eventually(lambda: shop.all("c2", OfferFailed))

    assert [one.attempt for one in await shop.all("c1", OfferDeferred)] == [1, 2]
    assert failed.reason == "Twilio 21614: 'To' number [number] is no mobile"


@pytest.mark.parametrize("answer", [None, (500, {})])
async def test_a_message_whose_answer_is_lost_is_not_sent_again(at_work, shop, twilio, eventually, answer):
    """Twilio takes no key that would make a second request harmless."""
    twilio.answer = lambda _: answer
    await introduce(shop)
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("sms",)))
        (failed,) = await eventually(lambda: shop.all("c1", OfferFailed))

    assert failed.reason.startswith("unknown: ")
    assert failed.reason.endswith("not sent twice")
    assert len(twilio.messages) == 1


async def test_a_claim_of_a_process_that_is_gone_is_not_sent_again(at_work, shop, twilio, eventually):
    """Nobody knows whether it handed the message over."""
    await introduce(shop)
    decided = approved_offer(1, visitor_id="ada", channels=("sms",))
    claimed = OfferClaimed(cart_id="c1", offer_id=decided.offer_id, channel="sms", attempt=1)
    await shop.mesh.publish(decided)
    await shop.mesh.publish(claimed)
    async with at_work(offers, channels):
        (failed,) = await eventually(lambda: shop.all("c1", OfferFailed))

    assert failed.reason == "unknown after a crash; not sent twice"
    assert twilio.messages == []


async def test_one_number_on_two_devices_is_one_person_for_the_cap(at_work, shop, twilio, eventually, monkeypatch):
    """Contacts count under the number, too."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "1")
    monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "0s")
    await introduce(shop, "phone", email="a@example.test")
    await introduce(shop, "laptop", email="b@example.test")
    async with at_work():
        await leave(shop, "c1", "phone")
        await eventually(lambda: shop.all("c1", OfferSent))
        await leave(shop, "c2", "laptop")
        (second,) = await eventually(lambda: shop.all("c2", OfferDecided))

    assert (second.outcome, second.reason) == ("dropped", "frequency cap")
    assert len(twilio.messages) == 1


async def test_amazon_sns_takes_it(at_work, shop, eventually, monkeypatch):
    """Moto's server of SNS, which checks what it is sent and keeps it."""
    monkeypatch.setenv("CARTMESH_SMS_FROM", "Cartmesh")
    with opened_cloud() as cloud:
        for name, value in {
            "SMS_PROVIDER": "sns",
            "SNS_REGION": REGION,
            "SNS_ACCESS_KEY": KEY,
            "SNS_SECRET_KEY": AWS_SECRET,
            "SNS_URL": cloud.url,
        }.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        await introduce(shop)
        await introduce(shop, "bob", phone="+4915112345679")
        cloud.client("sns").opt_in_phone_number(phoneNumber=PHONE)
        async with at_work(offers, channels):
            await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=(SMS.name,)))
            (sent,) = await eventually(lambda: shop.all("c1", OfferSent))
        from moto.sns.models import sns_backends

        taken = sns_backends["123456789012"][REGION].sms_messages

    assert set(taken) == {sent.message_id}
    assert taken[sent.message_id][0] == PHONE


async def test_what_is_sent_late_is_held_for_the_shoppers_night(at_work, shop, twilio, eventually, monkeypatch):
    """Decided by day, and sent hours later, as the service was away: not before the quiet hours are over."""
    monkeypatch.setattr(quiet_delivery, "LATE", timedelta(0))
    now, hour = datetime.now(UTC), timedelta(hours=1)
    monkeypatch.setenv("CARTMESH_JOURNEY_TIME_ZONE", "UTC")
    monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", f"{now - hour:%H:%M}-{now + hour:%H:%M}")
    await introduce(shop)
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("sms",)))
        (held,) = await eventually(lambda: shop.all("c1", OfferDeferred))

    assert (held.reason, held.channel) == ("quiet hours", "sms")
    assert timedelta(minutes=58) < held.until - now <= timedelta(hours=1)
    assert twilio.messages == []
