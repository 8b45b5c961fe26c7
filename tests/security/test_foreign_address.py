"""What somebody with a page's key can do to another's address: have it sent one offer, or one mail that asks."""

import re
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh, Retry
from mesh.events.cart import CartAbandoned, CartLine
from mesh.events.contact import ConfirmationFailed, ConfirmationRequested
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferDecided
from mesh.money import Money
from mesh.profiles import address_digest, read_profile
from mesh.publish import Draft
from mesh.runtime.run import running
from notifications.channels.confirmation import Confirmer
from notifications.channels.mailer import open_mailer
from notifications.channels.offer_renderer import open_offer_renderer
from notifications.channels.service import service as channels
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.journeys import Journey
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.links import service as links
from notifications.offers import service as offers
from notifications.templates.kind import TEMPLATES
from services.identity import service as identity

ADDRESS, DIGEST = "Ada@Example.test", address_digest("ada@example.test")
LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"), name="Lamp")
PATIENCE = 60


@pytest.fixture
def rule(monkeypatch):
    """Only confirmed addresses are mailed."""
    monkeypatch.setenv("CARTMESH_JOURNEY_DOUBLE_OPT_IN", "true")
    monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "0s")


@pytest.fixture
async def box(tmp_path, monkeypatch):
    async with inbox(tmp_path / "inbox") as opened:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(opened.smtp_port))
        monkeypatch.setenv("CARTMESH_JOURNEY_SCORE_LIMIT", "50ms")
        monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", "")
        yield opened


@pytest.fixture
async def region(regions, box, rule, monkeypatch):
    """All that decides, sends and confirms, at work in `us`; the address of the pages behind links."""
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(
            running(links, Mesh(regions.broker("us"), "links"), http=("127.0.0.1", 0))
        )
        monkeypatch.setenv("CARTMESH_URL_LINKS", f"http://127.0.0.1:{page.port}")
        for service in (offers, channels, identity):
            await stack.enter_async_context(running(service, Mesh(regions.broker("us"), service.name, others=("eu",))))
        yield Mesh(regions.broker("us"), "tests", others=("eu",))


async def allow(mesh, visitor, email=ADDRESS, **more):
    """What a page sends when a visitor leaves an address and allows e-mail; the consent as it was stored."""
    await mesh.publish(CustomerIdentified(visitor_id=visitor, email=email, **more))
    await mesh.publish(ConsentChanged(visitor_id=visitor, channel="email", granted=True))
    return await mesh.last(ConsentChanged, visitor)


async def decision(mesh, visitor, cart, eventually):
    """The decision about a cart that the visitor left."""
    now = datetime.now(UTC)
    left = CartAbandoned(
        cart_id=cart,
        visitor_id=visitor,
        lines=(LINE,),
        total=LINE.price,
        left_at=now - timedelta(minutes=30),
        due=now,
    )
    await mesh.publish(Draft(event=left, id=f"left-{cart}"))

    async def decided():
        return (await mesh.history(cart, "offer")).last(OfferDecided)

    return (await eventually(decided, within=PATIENCE)).event


def link_in(box, mail):
    text = box.opened(mail).get_body(("plain",)).get_content()
    return re.search(r"http://127\.0\.0\.1:\d+/confirm/\S+", text)[0]


async def test_an_address_gets_one_offer_whoever_gives_it(regions, box, eventually):
    """Where consents from pages are enough: the journey that ships lets a day lie between two offers."""
    async with AsyncExitStack() as stack:
        for service in (offers, channels):
            await stack.enter_async_context(running(service, Mesh(regions.broker("us"), service.name, others=("eu",))))
        mesh = Mesh(regions.broker("us"), "tests", others=("eu",))
        decided = []
        for at in range(3):
            await allow(mesh, f"v{at}", ADDRESS.upper() if at % 2 else ADDRESS)
            decided.append(await decision(mesh, f"v{at}", f"c{at}", eventually))
        (mail,) = await box.wait_for(1, timeout=PATIENCE)

    held = [(one.outcome, one.reason) for one in decided[1:]]
    assert (decided[0].outcome, held) == ("approved", [("held", "time between contacts")] * 2)
    assert mail.offer_id == decided[0].offer_id


async def test_only_a_confirmed_address_is_mailed(region, box, eventually):
    """A page's consent leads to one mail; who merely fetches its link confirms nothing, whoever clicks is mailed."""
    await allow(region, "ada")
    (asked,) = await box.wait_for(1, timeout=PATIENCE)
    before = await decision(region, "ada", "c1", eventually)

    async with httpx.AsyncClient() as browser:
        looked = await browser.get(link_in(box, asked))
        unchanged = await region.last(ConsentConfirmed, "ada")
        clicked = await browser.post(link_in(box, asked))
    after = await decision(region, "ada", "c2", eventually)
    mails = await box.wait_for(2, timeout=PATIENCE)

    assert [(one.name, one.channel) for one in before.checks if not one.passed] == [("confirmed", "email")]
    assert (before.channels, after.channels) == (("onsite",), ("email", "onsite"))
    assert (looked.status_code, unchanged, clicked.status_code) == (200, None, 200)
    assert "<button>" in looked.text
    assert [mail.recipients for mail in mails] == [(ADDRESS,)] * 2
    assert [mail.offer_id for mail in mails] == [None, after.offer_id]


async def test_the_owner_of_the_mailbox_lifts_what_the_link_in_a_mail_refused(region, box, eventually):
    """Unsubscribed on the laptop, allowed again on the phone and confirmed: mailed there, and not for the laptop."""
    await allow(region, "laptop")
    await box.wait_for(1, timeout=PATIENCE)
    await region.publish(CustomerUnsubscribed(visitor_id="laptop", channel="email", offer_id="o1"))
    await allow(region, "phone")

    async def refused(visitor):
        profile = await read_profile(region, visitor)
        return "email" in profile.refused_channels()

    await eventually(lambda: refused("phone"), within=PATIENCE)
    still = await decision(region, "phone", "c1", eventually)
    await region.publish(ConsentConfirmed(visitor_id="phone", channel="email", address=DIGEST))

    async def lifted():
        return not await refused("phone")

    await eventually(lifted, within=PATIENCE)
    phone = await decision(region, "phone", "c2", eventually)
    laptop = await decision(region, "laptop", "c3", eventually)
    assert "email" not in still.channels
    assert "email" in phone.channels
    assert "email" not in laptop.channels


def confirmed_only(double_opt_in=True):
    journey = Journey(name="j", template="abandoned-cart", double_opt_in=double_opt_in)
    return LiveJourneys([LiveJourney(journey=journey)])


@pytest.fixture
def asking(mesh, box):
    """A confirmer with a real mailer, asked directly: what it does is done when it returns."""

    @asynccontextmanager
    async def opened(journeys=None):
        await seed(TEMPLATES, "", mesh)
        async with open_offer_renderer(mesh) as renderer, open_mailer(renderer, mesh) as mailer:
            yield Confirmer(mailer, journeys or confirmed_only())

    return opened


async def test_an_address_is_asked_once_whoever_gives_it(mesh, box, asking):
    """Five invented visitors with a victim's address, in any case: one mail, and nothing of what they sent is in it."""
    async with asking() as confirmer:
        for at in range(5):
            email = ADDRESS.upper() if at % 2 else ADDRESS
            consent = await allow(mesh, f"v{at}", email, name="Your account is locked", locale="de-DE")
            assert await confirmer.ask(consent, mesh) == []

    (mail,) = box.mails
    message = box.opened(mail)
    texts = [message.get_body((kind,)).get_content() for kind in ("plain", "html")]
    assert "Dürfen wir Ihnen schreiben?" in texts[0]
    assert not [text for text in (*texts, message["Subject"]) if "locked" in text]
    assert message["List-Unsubscribe"] is None
    assert len(await mesh.all_of(ConfirmationRequested, DIGEST)) == 1


async def test_what_another_region_asked_counts(mesh, regions, box, asking, eventually):
    """As soon as the request's copy has arrived here."""
    elsewhere = Mesh(regions.broker("eu"), "tests", others=("us",))
    requested = ConfirmationRequested(address=DIGEST, visitor_id="v0", channel="email", count=1, request="r")
    await elsewhere.publish(requested)
    await eventually(lambda: mesh.last(ConfirmationRequested, DIGEST, region="eu"), within=PATIENCE)

    async with asking() as confirmer:
        await confirmer.ask(await allow(mesh, "v1"), mesh)

    assert box.attempts == []


async def test_an_address_is_asked_again_after_a_while_and_each_time_later(mesh, box, asking, monkeypatch):
    """Twice where the wait is nothing; after that many mails the wait is long, whatever the first one was."""
    monkeypatch.setenv("CARTMESH_CONFIRM_AGAIN_AFTER", "0s")
    async with asking() as confirmer:
        for at in range(2):
            await confirmer.ask(await allow(mesh, f"v{at}"), mesh)
    monkeypatch.setenv("CARTMESH_CONFIRM_AGAIN_AFTER", "1d")
    async with asking() as confirmer:
        await confirmer.ask(await allow(mesh, "v2"), mesh)

    assert [one.event.count for one in await mesh.all_of(ConfirmationRequested, DIGEST)] == [1, 2]
    assert len(box.mails) == 2


@pytest.mark.parametrize("why", ["no double opt-in", "reported by the server", "consent refused", "no address"])
async def test_nobody_is_asked_without_need(mesh, box, asking, why):
    """Neither where the rule is another one, nor who is confirmed already, nor who wants no mails."""
    async with asking(confirmed_only(double_opt_in=why != "no double opt-in")) as confirmer:
        email, by = None if why == "no address" else ADDRESS, "server" if why == "reported by the server" else "page"
        consent = await allow(mesh, "ada", email, by=by)
        if why == "consent refused":
            await mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=False))

        assert await confirmer.ask(consent, mesh) == []

    assert box.attempts == []


async def test_a_mail_server_that_is_busy_is_tried_again(mesh, box, asking):
    """Refused for now before anything was stored: the same consent is asked about when it is delivered again."""
    answers = iter(["451 try later"])
    box._refuse = lambda _: next(answers, None)
    async with asking() as confirmer:
        consent = await allow(mesh, "ada")
        with pytest.raises(Retry):
            await confirmer.ask(consent, mesh)
        assert await mesh.last(ConfirmationRequested, DIGEST) is None

        await confirmer.ask(consent, mesh)
        await confirmer.ask(consent, mesh)  # delivered again, as its acknowledgement was lost

    assert len(box.mails) == 1


async def test_a_mail_that_cannot_be_sent_is_recorded_without_the_address(mesh, box, asking):
    """Refused for good."""
    box._refuse = lambda address: f"550 <{address}>: no such user"
    async with asking() as confirmer:
        (failed,) = await confirmer.ask(await allow(mesh, "ada"), mesh)

    assert isinstance(failed, ConfirmationFailed)
    assert failed.reason.startswith("550")
    assert "xample.test" not in failed.reason
