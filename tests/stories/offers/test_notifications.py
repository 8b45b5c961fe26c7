"""Offers as notifications of a browser: encrypted for it alone, signed by the shop, and gone where the browser is."""

from datetime import UTC, datetime

import pytest
import trustme

from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentChanged, CustomerIdentified, PushSubscribed
from mesh.events.offer import OfferClaimed, OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from mesh.profiles import push_digest
from notifications.channels.push.vapid import new_keys
from notifications.channels.service import service as channels
from notifications.mail_reports import service as mail_reports
from notifications.offers import service as offers
from services.identity import service as identity
from tests.approved_offer import approved_offer
from tests.push_service import push_service

CONTACT = "mailto:shop@shop.example"


@pytest.fixture
async def push(tmp_path, monkeypatch):
    """A push service whose certificate is trusted here, and the shop's key; `public` is its public half."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    private, public = new_keys()
    for name, value in {
        "JOURNEY_CHANNELS": "push",
        "JOURNEY_SCORE_LIMIT": "100ms",
        "SEND_AGAIN_AFTER": "50ms",
        "PUSH_PRIVATE_KEY": private,
        "PUSH_PUBLIC_KEY": public,
        "PUSH_CONTACT": CONTACT,
        "PUSH_HOSTS": "localhost",
        "PUSH_PRIVATE_ADDRESSES": "true",
        "PUSH_TTL": "10m",
    }.items():
        monkeypatch.setenv(f"CARTMESH_{name}", value)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with push_service(authority) as service:
        service.public = public
        yield service


async def subscribe(shop, browser, visitor="ada", *, allowed=True, **more):
    await shop.mesh.publish(PushSubscribed(visitor_id=visitor, **browser.fields))
    await shop.mesh.publish(ConsentChanged(visitor_id=visitor, channel="push", granted=allowed))
    if more:
        await shop.mesh.publish(CustomerIdentified(visitor_id=visitor, **more))


async def test_a_left_cart_gets_its_notification(at_work, shop, push, eventually):
    """The whole way; only the browser can read it, and the push service knows that the shop sent it."""
    browser = push.subscribe("ada")
    await subscribe(shop, browser, email="ada@example.test", locale="de-DE")
    async with at_work():
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent))
        (decided,) = await shop.all("c1", OfferDecided)
    ((path, headers, body),) = push.came
    shown, claims = browser.opened(body), push.claims(headers["authorization"], push.public)

    assert (sent.channel, decided.channels, path) == ("push", ("push",), "/push/ada")
    assert (shown["title"], shown["lang"]) == ("10 % auf Ihren Warenkorb", "de_DE")
    assert shown["body"].startswith("Lamp: 81,00")
    assert f"cartmesh=push.{decided.offer_id}.c1" in shown["url"]
    assert (headers["content-encoding"], headers["ttl"], headers["topic"]) == ("aes128gcm", "600", shown["tag"])
    assert (claims["aud"], claims["sub"]) == (f"https://localhost:{push.port}", CONTACT)
    assert 0 < claims["exp"] - datetime.now(UTC).timestamp() <= 24 * 3600


async def test_an_offer_takes_the_place_of_an_earlier_one(at_work, shop, push, eventually):
    """The same topic for one shopper, another for others."""
    await subscribe(shop, push.subscribe("ada"))
    await subscribe(shop, push.subscribe("bob"), "bob")
    async with at_work(offers, channels):
        for at, visitor in enumerate(["ada", "ada", "bob"], start=1):
            await shop.mesh.publish(approved_offer(at, visitor_id=visitor, channels=("push",)))
            await eventually(lambda at=at: shop.all(f"c{at}", OfferSent))
    topics = [headers["topic"] for _, headers, _ in push.came]

    assert topics[0] == topics[1] != topics[2]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_asked_once(at_work, shop, push, eventually, status):
    """Its offer failed, and the next decision knows."""
    push.answer = lambda _: status
    browser = push.subscribe("ada")
    await subscribe(shop, browser)
    async with at_work(offers, channels, identity, mail_reports):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("push",)))
        (failed,) = await eventually(lambda: shop.all("c1", OfferFailed))
        (gone,) = await shop.mesh.all_of(AddressSuppressed, push_digest(browser.endpoint))
        await shop.fill("c2", "ada")
        await shop.score("c2", "ada", await shop.leave("c2", "ada"))
        (decided,) = await eventually(lambda: shop.all("c2", OfferDecided))

    assert failed.reason == "the browser takes no notifications any more"
    assert (gone.event.suppressed, gone.event.reason) == (True, "gone")
    assert (decided.outcome, decided.reason) == ("dropped", "address suppressed")
    assert len(push.came) == 1


async def test_a_busy_push_service_is_asked_again_and_a_refusal_is_final(at_work, shop, push, eventually):
    """429 and 503 are tried again, 413 is not; no reason names the endpoint."""
    statuses = iter([429, 503])
    push.answer = lambda path: 413 if path.endswith("bob") else next(statuses, 201)
    await subscribe(shop, push.subscribe("ada"))
    await subscribe(shop, push.subscribe("bob"), "bob")
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("push",)))
        await shop.mesh.publish(approved_offer(2, visitor_id="bob", channels=("push",)))
        await eventually(lambda: shop.all("c1", OfferSent))
        (failed,) = await eventually(lambda: shop.all("c2", OfferFailed))

    deferred = await shop.all("c1", OfferDeferred)
    assert [one.reason for one in deferred] == ["the push service answered 429", "the push service answered 503"]
    assert failed.reason == "the push service answered 413"


async def test_nothing_goes_to_a_host_that_is_no_push_service(at_work, shop, push, eventually, monkeypatch):
    """Anybody can name an endpoint: only those of the browsers' makers are asked, and never a private address."""
    await subscribe(shop, push.subscribe("ada"))
    monkeypatch.setenv("CARTMESH_PUSH_HOSTS", "fcm.googleapis.com,*.push.apple.com")
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(1, visitor_id="ada", channels=("push",)))
        (first,) = await eventually(lambda: shop.all("c1", OfferFailed))
    monkeypatch.setenv("CARTMESH_PUSH_HOSTS", "localhost")
    monkeypatch.setenv("CARTMESH_PUSH_PRIVATE_ADDRESSES", "false")
    monkeypatch.setenv("CARTMESH_SEND_ATTEMPTS", "1")
    async with at_work(offers, channels):
        await shop.mesh.publish(approved_offer(2, visitor_id="ada", channels=("push",)))
        (second,) = await eventually(lambda: shop.all("c2", OfferFailed))

    assert first.reason == "the browser that takes notifications is none that can be written to"
    assert second.reason == "gave up after 1 attempts: the push service does not answer"
    assert push.came == []


@pytest.mark.parametrize("allowed", [True, False])
async def test_consent_is_read_when_it_is_sent_and_a_crash_sends_nothing_twice(
    at_work, shop, push, eventually, allowed
):
    """As with mails and text messages."""
    await subscribe(shop, push.subscribe("ada"), allowed=allowed)
    decided = approved_offer(1, visitor_id="ada", channels=("push",))
    await shop.mesh.publish(decided)
    if allowed:
        claimed = OfferClaimed(cart_id="c1", offer_id=decided.offer_id, channel="push", attempt=1)
        await shop.mesh.publish(claimed)
    async with at_work(offers, channels):
        (ended,) = await eventually(lambda: shop.all("c1", OfferFailed if allowed else OfferWithdrawn))

    expected = "unknown after a crash; not sent twice" if allowed else "unsubscribed before it was sent"
    assert ended.reason == expected
    assert push.came == []
