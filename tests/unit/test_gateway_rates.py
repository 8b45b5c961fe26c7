"""Who may send, and how often."""

import hmac

import pytest

from mesh.errors import DeclarationError
from mesh.web.client_address import client_address, counted_as
from mesh.web.rate import Rate
from mesh.web.server_keys import bearer
from services.gateway.keys import Keys, KeySettings
from services.gateway.rates import Rates, RateSettings


def test_a_bucket_refills_at_its_rate():
    """After a burst one waits exactly until the next tokens are there."""
    now = [0.0]
    rate = Rate(10, burst=20, clock=lambda: now[0])

    assert rate.take("shop", 20) == 0.0
    assert rate.take("shop", 5) == 0.5
    now[0] = 0.5
    assert rate.take("shop", 5) == 0.0


def test_one_storefront_does_not_use_up_another():
    """Each name has its own bucket."""
    rate = Rate(1, burst=1, clock=lambda: 0.0)

    assert rate.take("one", 1) == 0.0
    assert rate.take("other", 1) == 0.0
    assert rate.take("one", 1) == 1.0


def test_a_request_larger_than_the_burst_is_not_refused_for_ever():
    """It is let through from a full bucket, which then owes the rest."""
    now = [0.0]
    rate = Rate(10, burst=10, clock=lambda: now[0])

    assert rate.take("shop", 30) == 0.0
    assert rate.take("shop", 1) == 2.1


def test_forwarded_addresses_are_believed_only_from_trusted_proxies():
    """A client cannot choose its address; the address that the outermost trusted proxy saw counts."""
    assert client_address("10.0.0.1", ["6.6.6.6"], 0) == "10.0.0.1"
    assert client_address("10.0.0.1", ["6.6.6.6, 8.8.8.8"], 1) == "8.8.8.8"
    assert client_address("10.0.0.1", ["6.6.6.6, 8.8.8.8, 10.0.0.2"], 2) == "8.8.8.8"
    assert client_address("10.0.0.1", [], 1) == "10.0.0.1"


def test_a_line_of_the_clients_own_is_no_address():
    """A proxy may add a line of its own instead of appending to the client's: the last line's end counts."""
    assert client_address("10.0.0.1", ["6.6.6.6", "8.8.8.8"], 1) == "8.8.8.8"
    assert client_address("10.0.0.1", ["6.6.6.6, 7.7.7.7", "8.8.8.8, 10.0.0.2"], 2) == "8.8.8.8"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4431", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:1:2:3", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_subscriber_has_one_allowance(address, counted):
    """Whoever has an IPv6 network has 2^64 addresses: they are counted as one, and a port makes no difference."""
    assert counted_as(address) == counted


def test_bytes_are_counted_as_well_as_events():
    """A few large events use up what many small ones would; each allowance is by key and by address."""
    rates = Rates(RateSettings(address_rate=10, address_bytes=1000, key_rate=10, key_bytes=1_000_000))

    assert rates.take(key="k", address="a", events=1, size=2000) == 0
    assert rates.take(key="k", address="a", events=1, size=500) > 0
    assert rates.take(key="k", address="b", events=1, size=500) == 0
    assert rates.take(key="k", address=None, events=1, size=500_000) == 0


def test_a_refused_request_takes_from_no_allowance():
    """What the key's bytes refuse costs the address no event: what it may send is sent at once."""
    rates = Rates(RateSettings(address_rate=1, address_bytes=1_000_000, key_rate=10, key_bytes=100))
    assert rates.take(key="k", address="a", events=1, size=200) == 0

    assert rates.take(key="k", address="a", events=1, size=200) > 0
    assert rates.take(key="other", address="a", events=1, size=200) == 0


def test_a_refused_request_waits_for_its_slowest_allowance():
    """Whoever waits as long as the answer says is not refused again by the next allowance."""
    rates = Rates(RateSettings(address_rate=1000, address_bytes=1_000_000, key_rate=10, key_bytes=1_000_000))
    assert rates.take(key="k", address="a", events=2000) == 0

    assert rates.take(key="k", address="a", events=100) > 100


def test_the_default_rates_are_below_what_a_process_stores():
    """One address cannot take a gateway for itself: the slowest machine measured stored 2,260 views a second."""
    assert 2 * RateSettings().address_rate < 2_260
    assert RateSettings().key_rate < 2_260


def test_a_key_has_a_scope_of_its_own():
    """Valid keys have different scopes, all others none."""
    keys = Keys(KeySettings(write_keys=("one", "two")))

    assert keys.sender("one").scope != keys.sender("two").scope
    assert [keys.sender(wrong) for wrong in ("three", "", None, "\udcff")] == [None] * 4


def test_a_servers_key_is_taken_from_the_header_alone():
    """In an address it would be written into logs; a page's key may stand there."""
    keys = Keys(KeySettings(server_keys=("secret",)))

    assert (keys.sender("secret").by, keys.sender("demo").by) == ("server", "page")
    assert (keys.sender(None, "secret"), keys.sender(None, "demo").by) == (None, "page")


def test_a_key_may_be_limited_to_types_of_events():
    """A setting of the key; one that names no key of the gateway is an error at the start."""
    keys = Keys(KeySettings(write_keys=("demo", "till"), key_types=("till=order_placed", "till=cart_updated")))

    assert (keys.sender("till").types, keys.sender("demo").types) == ({"order_placed", "cart_updated"}, None)
    with pytest.raises(DeclarationError, match="with a key that is set"):
        Keys(KeySettings(key_types=("other=order_placed",)))


def test_a_signature_is_made_with_a_servers_key():
    """HMAC-SHA256 in hexadecimal; a wrong one, none, and one by a page's key are refused."""
    keys = Keys(KeySettings(server_keys=("old", "new")))
    by = {key: hmac.new(key.encode(), b"ada", "sha256").hexdigest() for key in ("old", "new", "demo")}

    assert [keys.signed("ada", by[key]) for key in by] == [True, True, False]
    assert [keys.signed("bob", by["new"]), keys.signed("ada", None), keys.signed("ada", "")] == [False] * 3


def test_a_bearer_token_is_read_as_rfc_6750_writes_it():
    """The scheme's case does not matter; other schemes are none."""
    assert bearer("Bearer demo") == bearer("bearer demo") == "demo"
    assert (bearer("Basic demo"), bearer(None), bearer("")) == (None, None, None)
