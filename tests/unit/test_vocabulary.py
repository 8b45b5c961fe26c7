"""Channels and purposes are open: registered by whoever uses them, refused at the edge, read by everybody."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from mesh import Received
from mesh.channels import CHANNELS, EMAIL, Channel
from mesh.envelope import decode, encode
from mesh.errors import DeclarationError, UnknownName
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerUnsubscribed
from mesh.events.offer import OfferDecided, OfferFailed
from mesh.history import History
from mesh.vocabulary import Vocabulary, vocabularies
from notifications.journeys import Journey
from notifications.shopper_profile import profile_of
from services.gateway.judged import Sender
from services.gateway.request_body import open_request
from services.operations.board.offers import Offers

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CONSENT = {
    "id": "e1",
    "type": "consent_changed",
    "time": "2026-05-01T12:00:00Z",
    "visitor_id": "v1",
    "channel": "fax",
    "granted": True,
}


@pytest.fixture
def fax(monkeypatch):
    """A channel that a service of this test registers."""
    monkeypatch.setattr(CHANNELS, "_known", dict(CHANNELS._known))
    return CHANNELS.register(Channel(name="fax", title="fax"))


@pytest.fixture
def ask(intake):
    """Send an event; what is valid and what is rejected."""

    def send(event):
        raw = open_request(msgspec.json.encode({"events": [event]}))
        judged = intake.judge(raw, Sender(scope="key", by="page"), NOW)
        return judged.valid, judged.rejected

    return send


def received(event, id="e", sequence=1):
    return Received(event=event, id=id, time=NOW, stored=NOW, region="us", sequence=sequence, subject="s")


@pytest.mark.parametrize(("field", "kind"), [("channel", "channel"), ("purpose", "purpose")])
def test_the_gateway_refuses_a_name_that_nobody_registered(ask, field, kind):
    """With those that are registered in the reason."""
    valid, (rejected,) = ask({**CONSENT, "channel": "email", field: "pigeon"})

    assert valid == []
    assert rejected.path == f"$.{field}"
    assert rejected.reason.startswith(f"unknown {kind} 'pigeon'; there are ")


@pytest.mark.usefixtures("fax")
def test_a_registered_channel_is_accepted_everywhere(ask):
    """By the gateway and by a journey, without a change to any event."""
    (one,), rejected = ask(CONSENT)

    assert rejected == []
    assert one.sent.event.channel == "fax"
    assert Journey(name="j", template="t", channels=("fax", "email")).channels == ("fax", "email")


def test_a_journey_names_only_registered_channels():
    """A slip is an error at start, not an offer that nobody sends."""
    with pytest.raises(DeclarationError, match="'emial' is not registered; there are email, onsite"):
        Journey(name="j", template="t", channels=("emial",))


def test_a_reader_that_does_not_know_a_channel_reads_the_event():
    """A stored event holds any token; it is no dead letter for whoever is older than the channel."""
    event = ConsentChanged(visitor_id="v1", channel="pigeon", granted=True)

    _, read = decode(encode(event, id="e1", region="us", source="gateway"))

    assert read == event


def test_the_board_shows_what_became_of_an_offer_on_a_channel_it_does_not_know():
    """A newer service sends by it."""
    decided = OfferDecided(
        cart_id="c",
        visitor_id="v",
        offer_id="o",
        abandonment_id="a",
        attempt=1,
        outcome="approved",
        reason="",
        checks=(),
        journey="j",
        due=NOW,
        channels=("pigeon",),
    )
    offers = Offers()
    offers.add(received(decided))
    offers.add(received(OfferFailed(cart_id="c", offer_id="o", channel="pigeon", reason="lost its way")))

    (shown,) = offers.newest(NOW)

    assert [(event.kind, event.channel, event.detail) for event in shown.events] == [
        ("failed", "pigeon", "lost its way")
    ]


def test_consent_counts_for_the_purpose_it_was_given_for():
    """What a shopper says of another purpose changes nothing about offers."""
    events = (
        ConsentChanged(visitor_id="v", channel="email", granted=True),
        ConsentChanged(visitor_id="v", channel="email", granted=False, purpose="research"),
        CustomerUnsubscribed(visitor_id="v", channel="email", offer_id="o", purpose="research"),
    )

    who = profile_of(History("v", tuple(received(event) for event in events)))

    assert (who.consent, who.unsubscribed) == ({"email": True}, frozenset())


def test_a_name_means_one_thing():
    """Registered again it is the same; with different content it is an error; and it is always a token."""
    channels = Vocabulary("channel")
    channels.register(EMAIL)

    assert channels.register(replace(EMAIL)) is not None
    with pytest.raises(DeclarationError, match="registered twice"):
        channels.register(Channel(name="email", title="another"))
    with pytest.raises(DeclarationError, match="a name is 1 to 128"):
        channels.register(Channel(name="e mail", title="e-mail"))
    with pytest.raises(UnknownName, match="unknown channel 'fax'; there are email"):
        channels.require("fax")


def test_fields_say_which_vocabulary_they_hold():
    """Also where the field may be left out."""
    assert {name: found.kind for name, found in vocabularies(ConsentChanged).items()} == {
        "channel": "channel",
        "purpose": "purpose",
    }
    assert vocabularies(CartUpdated) == {}
