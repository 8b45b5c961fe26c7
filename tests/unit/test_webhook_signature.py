"""A webhook counts when one of the known secrets signed exactly its bytes just now, by Stripe's published scheme."""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from mesh.web.signature import BadSignature, signature, verify

BODY = b'{"id": "evt_1", "amount": 4200}'
SECRET, NEXT_SECRET = "whsec_first", "whsec_second"
AT = 1_777_777_777
NOW = datetime.fromtimestamp(AT, UTC)


def header(*secrets, at=AT, body=BODY):
    """Written as Stripe documents it, not by the code under test."""
    signed = str(at).encode() + b"." + body
    return f"t={at}," + ",".join(f"v1={hmac.new(s.encode(), signed, sha256).hexdigest()}" for s in secrets)


def test_what_stripes_own_library_signs_is_accepted():
    """The published scheme: HMAC-SHA256 over `<t>.<body>` with the whole secret, in hex."""
    assert header(SECRET) == f"t={AT},v1={signature(BODY, AT, SECRET)}"

    verify(BODY, header(SECRET), [SECRET], now=NOW)


def test_signatures_of_other_versions_are_left_out():
    """A `v0` beside it neither helps nor harms."""
    verify(
        BODY, header(SECRET) + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39", [SECRET], now=NOW
    )

    with pytest.raises(BadSignature, match="no v1"):
        verify(BODY, header(SECRET).replace("v1=", "v0="), [SECRET], now=NOW)


@pytest.mark.parametrize("known", [[SECRET], [NEXT_SECRET], [SECRET, NEXT_SECRET]])
def test_while_a_secret_is_changed_either_will_do(known):
    """The sender signs with both, or with one of them; the receiver knows one or both."""
    verify(BODY, header(SECRET, NEXT_SECRET), known, now=NOW)

    verify(BODY, header(known[0]), [SECRET, NEXT_SECRET], now=NOW)


@pytest.mark.parametrize("age", [timedelta(minutes=5, seconds=1), timedelta(minutes=-6), timedelta(days=30)])
def test_an_old_or_future_signature_is_refused(age):
    """What was recorded cannot be sent again later."""
    with pytest.raises(BadSignature, match="s old"):
        verify(BODY, header(SECRET), [SECRET], now=NOW + age)


@pytest.mark.parametrize(
    ("body", "given", "known", "why"),
    [
        (BODY + b" ", header(SECRET), [SECRET], "does not match"),
        (BODY, header("whsec_of_somebody"), [SECRET], "does not match"),
        (BODY, header(SECRET).replace(f"t={AT}", f"t={AT + 1}"), [SECRET], "does not match"),
        (BODY, header(SECRET), [], "no webhook secret"),
        (BODY, None, [SECRET], "missing"),
        (BODY, "", [SECRET], "missing"),
        (BODY, "v1=abc", [SECRET], "no time"),
        (BODY, f"t={AT},t={AT + 1},v1=abc", [SECRET], "no time"),
        (BODY, f"t=-{AT},v1=abc", [SECRET], "no time"),
        (BODY, f"t={'9' * 40},v1=abc", [SECRET], "no time"),
        (BODY, "t=²,v1=abc", [SECRET], "no time"),
        (BODY, f"t={AT},v1=ä", [SECRET], "no v1"),
    ],
)
def test_anything_else_is_refused_with_the_reason(body, given, known, why):
    """One changed byte, another's secret, a time that was not signed, or nonsense."""
    with pytest.raises(BadSignature, match=why):
        verify(body, given, known, now=NOW)
