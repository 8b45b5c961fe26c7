"""A shopper's profile, read from their personal history."""

from datetime import UTC, datetime

import pytest

from mesh.envelope import Received
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.history import History
from mesh.profiles import address_digest, phone_digest
from notifications.shopper_profile import profile_of

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def history(*events):
    received = [
        Received(event=event, id=str(at), time=NOON, stored=NOON, region="us", sequence=at, subject="")
        for at, event in enumerate(events, 1)
    ]
    return History("v", tuple(received))


def identified(email, **more):
    return CustomerIdentified(visitor_id="v", email=email, **more)


def test_only_the_shops_server_confirms_an_address():
    """A page's word is none; another address that a page gives later is not confirmed either."""
    server, page = identified("a@x.test", by="server"), identified("a@x.test")
    other = identified("b@x.test")

    assert profile_of(history(server, page)).confirmed
    assert not profile_of(history(page)).confirmed
    assert not profile_of(history(server, other)).confirmed


GONE = CustomerUnsubscribed(visitor_id="v", channel="email", offer_id="o")


def consent(granted, by="page"):
    return ConsentChanged(visitor_id="v", channel="email", granted=granted, by=by)


def confirmation(email):
    return ConsentConfirmed(visitor_id="v", channel="email", address=address_digest(email))


@pytest.mark.parametrize(
    ("events", "allowed"),
    [
        pytest.param([GONE, consent(True)], False, id="a page"),
        pytest.param([GONE, consent(True, "server")], True, id="the shop's server"),
        pytest.param([identified("A@x.test"), GONE, confirmation("a@x.test")], True, id="the owner of the address"),
        pytest.param([identified("a@x.test"), GONE, confirmation("b@x.test")], False, id="the owner of another"),
        pytest.param([consent(True, "server"), GONE], False, id="nobody since"),
        pytest.param([consent(False), consent(True)], True, id="a page what a page refused"),
        pytest.param([consent(False, "server"), consent(True)], False, id="a page what the server refused"),
        pytest.param([consent(False, "server"), consent(True, "server")], True, id="the server what it refused"),
        pytest.param([consent(True, "server"), consent(False)], False, id="a page may always refuse"),
    ],
)
def test_who_may_lift_which_refusal(events, allowed):
    """A page lifts what a page refused; what the link in a mail or the server refused, server and owner alone."""
    profile = profile_of(history(*events))

    assert (profile.consent.get("email", False) and "email" not in profile.unsubscribed) is allowed


def test_the_owner_of_an_address_confirms_that_address_alone():
    """In any case; another address of the same visitor stays unconfirmed."""
    owned, other = identified("Ada@X.test"), identified("b@x.test")

    assert profile_of(history(owned, confirmation("ada@x.test"))).confirmed
    assert not profile_of(history(owned, confirmation("ada@x.test"), other)).confirmed
    assert not profile_of(history(other, confirmation("ada@x.test"))).confirmed


def test_an_erased_customer_is_nobody():
    """Events whose fields are absent add nothing and break nothing."""
    erased = profile_of(history(CustomerIdentified(visitor_id="v")))

    assert (erased.email, erased.name, erased.confirmed) == (None, None, False)


def numbered(phone, **more):
    return CustomerIdentified(visitor_id="v", phone=phone, by="server", **more)


@pytest.mark.parametrize(
    ("events", "email", "phone", "name"),
    [
        pytest.param([numbered("+491", name="Ada")], None, "+491", "Ada", id="a number alone"),
        pytest.param([numbered("+491", name="Ada"), numbered("+492")], None, "+492", None, id="another person"),
        pytest.param(
            [numbered("+491", name="Ada", customer_id="c"), numbered("+492", customer_id="c")],
            None,
            "+492",
            "Ada",
            id="a customer's new number",
        ),
        pytest.param(
            [identified("a@x.test", by="server", name="Ada"), numbered("+491")], None, "+491", None, id="nothing shared"
        ),
        pytest.param(
            [numbered("+491", name="Ada"), numbered("+491", email="a@x.test")],
            "a@x.test",
            "+491",
            "Ada",
            id="an address for a number",
        ),
        pytest.param(
            [numbered("+491", email="a@x.test", name="Ada"), numbered("+492", email="a@x.test")],
            "a@x.test",
            "+492",
            "Ada",
            id="a new number for an address",
        ),
        pytest.param(
            [numbered("+491", email="a@x.test"), CustomerIdentified(visitor_id="v", by="server")],
            "a@x.test",
            "+491",
            None,
            id="nothing said",
        ),
    ],
)
def test_who_is_named_by_a_number_is_one_person_until_another_is_named(events, email, phone, name):
    """As profiles are linked: with nothing in common it is somebody else, whose name is not the one before."""
    profile = profile_of(history(*events))

    assert (profile.email, profile.phone, profile.name) == (email, phone, name)


def test_who_has_a_number_and_no_address_confirms_by_the_link_in_a_message():
    """The link names the number's digest; an address from before is not theirs."""
    stopped = CustomerUnsubscribed(visitor_id="v", channel="sms", offer_id="o")
    again = ConsentConfirmed(visitor_id="v", channel="sms", address=phone_digest("+491"))
    profile = profile_of(history(identified("a@x.test", by="server"), numbered("+491"), stopped, again))

    assert (profile.consent, profile.unsubscribed, profile.confirmed) == ({"sms": True}, frozenset(), False)
