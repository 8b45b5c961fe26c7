"""A shopper's profile, read from their personal history."""

from datetime import UTC, datetime

from mesh.envelope import Received
from mesh.events.customer import CustomerIdentified
from mesh.history import History
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


def test_an_erased_customer_is_nobody():
    """Events whose fields are absent add nothing and break nothing."""
    erased = profile_of(history(CustomerIdentified(visitor_id="v")))

    assert (erased.email, erased.name, erased.confirmed) == (None, None, False)
