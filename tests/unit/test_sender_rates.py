"""Rates of bounces and complaints: the same whatever comes twice or late, and when they pause sending."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import Mesh, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.mail import MailAdvanced, MailBounced, MailComplained
from mesh.events.offer import OfferSent
from notifications.mail_reports.pausing import PauseSettings, too_much
from notifications.sender_rates import RatesWriter, read_rates
from notifications.sending_pauses import domain_of, place_of

DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
DOMAINS = ("gmail.example", "web.example")


def received(event, days, number):
    at = DAY + timedelta(days=days)
    return Received(event=event, id=f"e{number}", time=at, stored=at, region="us", sequence=number, subject="")


def offer(mail, domain):
    return OfferSent(cart_id="c", visitor_id="v", offer_id=mail, channel="email", domain=domain)


def order(mail, domain):
    return MailAdvanced(mail_id=mail, order_id="o", template="t", outcome="sent", attempt=1, domain=domain)


def bounced(mail, domain, *, hard):
    return MailBounced(address="a", domain=domain, hard=hard, source="ses", report=f"r{mail}{hard}", mail=mail)


def complained(mail, domain):
    return MailComplained(address="a", domain=domain, source="ses", report=f"r{mail}", mail=mail)


MAILS = st.sampled_from(("m1", "m2", "m3"))
HOMES = {"m1": DOMAINS[0], "m2": DOMAINS[1], "m3": DOMAINS[0], None: DOMAINS[1]}
EVENTS = st.one_of(
    MAILS.map(lambda mail: offer(mail, HOMES[mail])),
    MAILS.map(lambda mail: order(mail, HOMES[mail])),
    st.builds(lambda mail, hard: bounced(mail, HOMES[mail], hard=hard), MAILS | st.none(), st.booleans()),
    (MAILS | st.none()).map(lambda mail: complained(mail, HOMES[mail])),
    MAILS.map(lambda mail: complained(mail, "forwarded.example")),
)
STORIES = st.lists(st.tuples(EVENTS, st.integers(0, 3)), max_size=8)


async def counted(batches):
    """The figures of two weeks after these batches."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "mail-reports")
    writer = RatesWriter(mesh)
    for batch in batches:
        await writer.apply(batch)
    try:
        return await read_rates(mesh, today=(DAY + timedelta(days=7)).date(), days=14)
    finally:
        await mesh.broker.drain()


@settings(max_examples=15)
@given(STORIES, st.randoms())
async def test_order_repetition_and_batches_make_no_difference(story, random):
    """One by one, all at once, twice and in another order: so a rebuild comes to the same."""
    events = [received(event, days, number) for number, (event, days) in enumerate(story, 1)]
    shuffled = [*events, *events[: len(events) // 2]]
    random.shuffle(shuffled)

    once = await counted([events])

    assert once == await counted([[one] for one in events]) == await counted([shuffled])
    mails = {
        e.offer_id if isinstance(e, OfferSent) else e.mail_id
        for e, _ in story
        if isinstance(e, OfferSent | MailAdvanced)
    }
    assert sum(figures.get("sent", 0) for figures in once.values()) == len(mails)


async def test_a_bounce_counts_on_the_day_and_for_the_domain_of_its_mail():
    """It comes days later, and may have been forwarded."""
    events = [received(bounced("m1", "elsewhere.example", hard=True), 6, 1), received(offer("m1", DOMAINS[0]), 0, 2)]
    mesh = Mesh(MemoryMesh("us").broker("us"), "mail-reports")
    await RatesWriter(mesh).apply(events)

    def on(day):
        return read_rates(mesh, today=(DAY + timedelta(days=day)).date(), days=1)

    assert (await on(0), await on(6)) == ({DOMAINS[0]: {"hard": 1, "sent": 1}}, {})
    await mesh.broker.drain()


async def test_a_card_and_a_mail_that_failed_are_no_mails():
    """Only what a mail server took is counted."""
    card = OfferSent(cart_id="c", visitor_id="v", offer_id="o", channel="onsite")
    failed = MailAdvanced(mail_id="m", order_id="o", template="t", outcome="failed", attempt=1)

    assert await counted([[received(card, 0, 1), received(failed, 0, 2)]]) == {}


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"sent": 99, "hard": 99}, ""),
        ({"sent": 100, "hard": 5}, ""),
        ({"sent": 100, "hard": 6}, "6 of 100 mails bounced, more than 5.0%"),
        ({"sent": 1000, "complained": 3}, ""),
        ({"sent": 1000, "complained": 4}, "4 of 1000 mails were reported as spam, more than 0.3%"),
        ({"sent": 100, "soft": 100}, ""),
        ({}, ""),
    ],
)
def test_sending_is_paused_above_the_bounds_alone(counts, said):
    """Of few mails nothing is concluded, and what may arrive later is no reason."""
    assert too_much(counts, PauseSettings()) == said


def test_domains_are_compared_as_dns_has_them():
    """In any case and script; the key of a domain is one that subjects take."""
    assert domain_of("Ada@MÜNCHEN.example.") == "xn--mnchen-3ya.example"
    assert place_of("xn--mnchen-3ya.example") == "xn--mnchen-3ya_example"
    assert place_of("a b") != place_of("a.b")
    assert len({place_of("x" * 300), place_of("x" * 301)}) == 2
