"""A shopper's profile, read from their personal history."""

from datetime import UTC, datetime

import pytest

from mesh.envelope import Received
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.history import History
from mesh.profiles import address_digest
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
