"""Signature of a webhook, by Stripe's scheme (https://docs.stripe.com/webhooks#verify-manually).

The header is `t=<seconds>,v1=<hex>[,v1=<hex>]`: HMAC-SHA256 of `<t>.<body>` with the endpoint's secret. While a secret
is changed the sender signs with both, and the receiver accepts any that it knows.
"""

import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

TOLERANCE = timedelta(minutes=5)
MOST_SIGNATURES = 8
"""More than a sender has secrets at once. Anybody can send a header, and each comparison costs time."""


class BadSignature(Exception):
    """A webhook that nobody with a valid secret signed just now; says why."""


def signature(body: bytes, at: int, secret: str) -> str:
    """The value of `v1` for a body that is sent at `at` (seconds since 1970)."""
    return hmac.new(secret.encode(), b"%d.%s" % (at, body), sha256).hexdigest()


def verify(
    body: bytes,
    header: str | None,
    secrets: Iterable[str],
    *,
    now: datetime | None = None,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """The secret that signed exactly these bytes, at most `tolerance` from now. Raises BadSignature for none."""
    at, given = _parsed(header)
    known = tuple(secrets)
    if not known:
        raise BadSignature("no webhook secret is set here")
    # All comparisons are made, so that the time taken says nothing of which secret or signature was close.
    right = [(secret, signature(body, at, secret)) for secret in known]
    matches = [secret for secret, one in right for other in given if hmac.compare_digest(one, other)]
    if not matches:
        raise BadSignature("the signature does not match the body")
    age = (now or datetime.now(UTC)).timestamp() - at
    if abs(age) > tolerance.total_seconds():
        raise BadSignature(
            f"the signature is {age:.0f} s old; {tolerance.total_seconds():.0f} s is the most, in either direction"
        )
    return matches[0]


def _parsed(header: str | None) -> tuple[int, list[str]]:
    """The time and the signatures of version 1; other versions are left out, as the scheme wants it."""
    if not header:
        raise BadSignature("the signature is missing")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value for name, _, value in pairs if name == "v1" and value.isascii()]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise BadSignature("the signature has no time t=<seconds>")
    if len(given) > MOST_SIGNATURES:
        raise BadSignature(f"there are more than {MOST_SIGNATURES} signatures")
    if not given:
        raise BadSignature("the signature has no v1=<hex>")
    return int(times[0]), given
