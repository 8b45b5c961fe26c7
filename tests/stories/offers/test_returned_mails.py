"""What comes back of mails: a bounce in the mailbox ends offers to its address, in every region, and nothing else."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.channels import EMAIL
from mesh.errors import Conflict
from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentConfirmed
from mesh.events.mail import MailBounced
from mesh.events.offer import OfferClaimed, OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from mesh.events.order import Command, OrderConfirmed, OrderCreated, OrderDeliveryAddressed
from mesh.events.sending import SendingPaused
from mesh.profiles import address_digest
from notifications.channels import delivery
from notifications.channels.reading import read_delivery
from notifications.channels.service import service as channels
from notifications.mail_reference import HEADER
from notifications.mail_reports import look_into_mailbox, requests
from notifications.mail_reports import service as mail_reports
from notifications.mail_reports.intake import BounceSettings, record
from notifications.mail_reports.pausing import PauseSettings, pauses_due
from notifications.mail_reports.report import MailReport
from notifications.mail_reports.requests import Resume, Suppress
from notifications.offers import service as offers
from notifications.sender_rates import read_rates
from notifications.sending_pauses import place_of
from notifications.suppressions import standing_of
from tests.approved_offer import approved_offer
from tests.returned_mails import postfix
from tests.stories.offers.conftest import LINE


@pytest.fixture
def maildir(tmp_path, monkeypatch):
    """The mailbox that bounces arrive in."""
    folder = tmp_path / "bounces"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    monkeypatch.setenv("CARTMESH_BOUNCE_MAILBOX", f"maildir:{folder}")
    monkeypatch.setenv("CARTMESH_BOUNCE_ADDRESS", "bounces@shop.example.test")
    return folder


def arrive(maildir, raw, name="1.mail"):
    """A mail is delivered as a Maildir is delivered to."""
    (maildir / "tmp" / name).write_bytes(raw)
    (maildir / "tmp" / name).rename(maildir / "new" / name)


def headers_of(message):
    return "".join(f"{name}: {value}\r\n" for name, value in message.items() if name in ("Message-ID", HEADER))


async def test_a_hard_bounce_ends_offers_to_its_address_in_every_region(
    at_work, shop, shop_in, box, maildir, eventually, regions
):
    """Mailed, returned by Postfix, recorded without the address, suppressed; the next cart says so in plain words."""
    digest, there = address_digest("ada@gone.example"), shop_in("eu")
    async with at_work(), at_work(mail_reports), at_work(region="eu"):
        await shop.identify("ada", email="ada@gone.example")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (mail,) = await box.wait_for(1)
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent))

        arrive(maildir, postfix("ada@gone.example", headers_of(box.opened(mail))))
        await look_into_mailbox(datetime.now(UTC), Mesh(regions.broker("us"), "mail-reports", others=("eu",)))
        bounced = (await eventually(lambda: shop.mesh.last(MailBounced, digest))).event
        suppressed = (await eventually(lambda: shop.mesh.last(AddressSuppressed, digest))).event
        await eventually(lambda: there.mesh.last(AddressSuppressed, digest, region="us"))
        await there.identify("ada-there", email="Ada@GONE.example")
        for at, visitor, cart in ((shop, "ada", "c2"), (there, "ada-there", "c3")):
            await at.fill(cart, visitor)
            await at.score(cart, visitor, await at.leave(cart, visitor))
        decided = [
            (await eventually(lambda at=at, cart=cart: at.all(cart, OfferDecided)))[0]
            for at, cart in ((shop, "c2"), (there, "c3"))
        ]

    assert [len(list((maildir / one).iterdir())) for one in ("new", "cur")] == [0, 1]
    assert sent.domain == "gone.example"
    assert (bounced.hard, bounced.domain, bounced.status, bounced.mail) == (
        True,
        "gone.example",
        "5.1.1",
        sent.offer_id,
    )
    assert "ada" not in bounced.reason
    assert "[address]" in bounced.reason
    assert (suppressed.suppressed, suppressed.reason) == (True, "hard-bounce")
    for one in decided:
        (check,) = [check for check in one.checks if check.name == "address"]
        assert (check.passed, check.value) == (False, "nothing is sent to it: a mail came back for good")
        assert "email" not in one.channels
    assert len(box.mails) == 1


@pytest.fixture
def reports_mesh(regions):
    """The mesh of the service that takes reports, in a region."""
    return lambda region="us": Mesh(regions.broker(region), "mail-reports", others=("eu" if region == "us" else "us",))


async def suppress(mesh, email, reason="manual", *, suppressed=True):
    asked = Suppress(address=address_digest(email), suppressed=suppressed, reason=reason, by="a1")
    return (await requests.suppress_address(asked, mesh)).changed


async def ended(shop, cart):
    return [one for kind in (OfferWithdrawn, OfferSent, OfferFailed) for one in await shop.all(cart, kind)]


async def test_an_address_suppressed_between_decision_and_sending_gets_no_mail(
    at_work, shop, box, eventually, reports_mesh
):
    """The offer was approved while its channel was away."""
    await shop.identify("ada")
    await shop.mesh.publish(approved_offer(1, visitor_id="ada"))
    await suppress(reports_mesh(), "ada@example.test")
    async with at_work(offers, channels):
        (withdrawn,) = await eventually(lambda: ended(shop, "c1"))

    assert withdrawn.reason == "nothing is sent to this address: put on the list by hand"
    assert box.mails == []


async def test_an_address_suppressed_between_reading_and_claiming_gets_no_mail(shop, box, reports_mesh):
    """The claim is conditional on what was read: it is refused, and the next try reads again."""
    decided = approved_offer(1, visitor_id="ada")
    await shop.identify("ada")
    await shop.fill("c1", "ada")
    await shop.mesh.publish(decided)
    mesh = Mesh(shop.mesh.broker, "channels", others=("eu",))
    reading = await read_delivery(decided, mesh, EMAIL)
    conditions = [*reading.history.unchanged(OfferClaimed), *reading.may_be_written_to()]
    claim = OfferClaimed(cart_id="c1", offer_id=decided.offer_id, channel="email", attempt=1)

    await suppress(reports_mesh(), "ada@example.test")
    with pytest.raises(Conflict):
        await mesh.publish(claim, *conditions)

    assert (await read_delivery(decided, mesh, EMAIL)).standing.reason == "manual"


async def test_races_of_suppressing_and_sending_end_in_no_mail_to_a_suppressed_address(
    at_work, shop, box, eventually, reports_mesh
):
    """Whoever is first: what was claimed before was sent before, and nothing is claimed afterwards."""
    carts, mesh = [f"c{n}" for n in range(1, 25)], reports_mesh()
    for n, cart in enumerate(carts, 1):
        await shop.identify(f"v{n}")
        await shop.fill(cart, f"v{n}")
    async with at_work(offers, channels):
        await asyncio.gather(
            *(shop.mesh.publish(approved_offer(n)) for n in range(1, 25)),
            *(_later(n * 0.01, suppress(mesh, f"v{n}@example.test")) for n in range(1, 25)),
        )
        for cart in carts:
            await eventually(lambda cart=cart: ended(shop, cart))

    for n, cart in enumerate(carts, 1):
        claims = (await shop.mesh.history(cart, "offer")).of(OfferClaimed)
        said = await shop.mesh.last(AddressSuppressed, address_digest(f"v{n}@example.test"))
        sent = [mail for mail in box.mails if mail.recipients == (f"v{n}@example.test",)]
        assert len(sent) == len(claims) <= 1
        assert not await shop.all(cart, OfferFailed)
        assert all(one.sequence < said.sequence for one in claims)


async def _later(seconds, doing):
    await asyncio.sleep(seconds)
    return await doing


async def test_the_owner_of_an_address_lifts_a_complaint_and_nobody_elses_page_does(
    at_work, shop, eventually, reports_mesh, regions
):
    """A page's consent lifts nothing; the link in a mail to the address does, in both regions."""
    digest = address_digest("ada@example.test")
    async with at_work(mail_reports):
        await suppress(reports_mesh(), "ada@example.test", "complaint")
        await shop.identify("ada")
        await shop.mesh.publish(
            ConsentConfirmed(visitor_id="eve", channel="email", address=address_digest("eve@x.test"))
        )
        before = (await standing_of(digest, shop.mesh)).reason
        await shop.mesh.publish(ConsentConfirmed(visitor_id="ada", channel="email", address=digest))
        await eventually(lambda: _lifted(shop.mesh, digest))
        elsewhere = Mesh(regions.broker("eu"), "tests", others=("us",))
        await eventually(lambda: _lifted(elsewhere, digest))

    assert before == "complaint"
    assert (await shop.mesh.last(AddressSuppressed, digest)).event.by == "owner"


async def _lifted(mesh, digest):
    standing = await standing_of(digest, mesh)
    return standing.entry is not None and standing.reason is None


async def test_mails_about_orders_go_to_a_suppressed_address_and_through_a_pause(
    at_work, shop, box, reports_mesh, eventually
):
    """Who buys is told what becomes of it."""
    await suppress(reports_mesh(), "grace@example.test", "hard-bounce")
    await pause(shop, "example.test")
    address = OrderDeliveryAddressed(order_id="o1", address_id="a1", name="Grace", email="grace@example.test")
    created = OrderCreated(
        order_id="o1",
        lines=(LINE,),
        total=LINE.price * 2,
        payment_method="tok",
        command=Command(key="k", body="b"),
        visitor_id="grace",
        address_id="a1",
    )
    async with at_work(offers, channels):
        for event in (address, created, OrderConfirmed(order_id="o1", lines=(LINE,), total=created.total)):
            await shop.mesh.publish(event)
        (mail,) = await box.wait_for(1)

    assert mail.recipients == ("grace@example.test",)


async def pause(shop, domain, *, paused=True):
    event = SendingPaused(place=place_of(domain), domain=domain, paused=paused, reason="too much", by="tests")
    await shop.mesh.publish(event)


async def test_a_pause_holds_offers_with_a_record_and_letting_go_on_sends_them(
    at_work, shop, box, eventually, monkeypatch
):
    """Held, not dropped; other domains are mailed meanwhile."""
    monkeypatch.setattr(delivery, "PAUSED_AGAIN_AFTER", timedelta(milliseconds=100))
    await shop.identify("ada", email="ada@held.example")
    await shop.identify("bob", email="bob@free.example")
    await pause(shop, "held.example")
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada"))
        await shop.mesh.publish(approved_offer(2, visitor_id="bob"))
        await eventually(lambda: shop.all("c1", OfferDeferred))
        await box.wait_for(1)
        await eventually(lambda: ended(shop, "c2"))
        held = list(await ended(shop, "c1")), [mail.recipients for mail in box.mails]

        await pause(shop, "held.example", paused=False)
        mails = await box.wait_for(2)
        await eventually(lambda: ended(shop, "c1"))

    (deferred,) = await shop.all("c1", OfferDeferred)
    assert held == ([], [("bob@free.example",)])
    assert deferred.reason == "sending to its domain is paused"
    assert mails[-1].recipients == ("ada@held.example",)


async def test_too_many_bounces_pause_their_domain_until_a_person_lets_it_go_on(
    shop, eventually, reports_mesh, at_work
):
    """By the log alone; a bound that is not reached pauses nothing, and what led to a pause counts no more after it."""
    mesh, settings = reports_mesh(), PauseSettings(pause_from=20)
    async with at_work(mail_reports):
        for n in range(40):
            domain = "bad.example" if n < 20 else "good.example"
            sent = OfferSent(cart_id=f"c{n}", visitor_id=f"v{n}", offer_id=f"offer-{n}", channel="email", domain=domain)
            await shop.mesh.publish(sent)
        for n in (0, 1, 20):
            report = MailReport(
                about="bounce",
                id=f"r{n}",
                source="mailbox",
                address=f"a{n}@{'bad' if n < 20 else 'good'}.example",
                mail=f"offer-{n}",
                hard=True,
                status="5.1.1",
            )
            assert await record(report, mesh, BounceSettings()) == "stored"
        await eventually(lambda: _counted(mesh))

        now = datetime.now(UTC)
        due = await pauses_due(mesh, settings, now)
        for changes in due:
            await mesh.publish(*changes)
        again = await pauses_due(mesh, settings, now)
        resumed = await requests.resume_sending(Resume(place=place_of("bad.example"), by="a1"), mesh)
        after = await pauses_due(mesh, settings, now + timedelta(days=1))

    ((event, _),) = due
    assert (event.domain, event.sent, event.bounced) == ("bad.example", 20, 2)
    assert event.reason == "2 of 20 mails bounced, more than 5.0%"
    assert (again, resumed.changed, after) == ([], True, [])


async def _counted(mesh):
    rates = await read_rates(mesh, today=datetime.now(UTC).date())
    return rates == {"bad.example": {"hard": 2, "sent": 20}, "good.example": {"hard": 1, "sent": 20}}
