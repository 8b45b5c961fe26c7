"""What webhooks are made of: signatures by the published vectors, filters by the specification, and what may leave."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from mesh import Received
from mesh.errors import InvalidField
from mesh.event import declaration_of
from mesh.filters import compiled
from mesh.money import Money
from mesh.partner_events import PARTNER_EVENTS, WITHHELD, body
from mesh.runtime.discovery import declare_events
from services.webhooks.signing import SigningKey, headers, shared_secret, sign

MESSAGE = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
NOW = datetime.now(UTC)
MASTER, BEFORE = "m" * 32, "b" * 32


def test_the_published_vectors():
    """Those of the Python library (HMAC) and of the Go library (Ed25519) of Standard Webhooks."""
    shared, private = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="

    assert sign(MESSAGE, b64decode(shared), "hmac") == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(MESSAGE, b64decode(private), "ed25519") == (
        "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
    )


def key(number, kind="hmac", ends=None):
    return SigningKey(number=number, kind=kind, created=NOW, ends=ends)


def made(*keys, secrets=(MASTER,), at=NOW, content=b'{"a":1}'):
    return headers(content, message_id="e1", at=at, webhook_id="wh1", keys=keys, secrets=secrets)


def test_both_keys_sign_while_one_is_changed():
    """Until the time of grace is over; and so with the setting that all keys follow from."""
    now = datetime.now(UTC)  # the receiver looks at its own clock
    old, new = key(1, ends=now + timedelta(hours=1)), key(2)
    during, after = made(old, new, at=now), made(old, new, at=now + timedelta(hours=2))
    changed = made(new, secrets=(BEFORE, MASTER), at=now)

    for one in (old, new):
        assert Webhook(shared_secret(MASTER, "wh1", one)).verify('{"a":1}', during)
    assert len(after["webhook-signature"].split()) == 1
    for secret in (BEFORE, MASTER):
        assert Webhook(shared_secret(secret, "wh1", new)).verify('{"a":1}', changed)


def test_keys_are_different_for_each_webhook_number_kind_and_mesh():
    """Whoever has one secret can forge nothing for another partner."""
    shared = {
        shared_secret(secret, webhook_id, key(number, kind))
        for secret in (MASTER, BEFORE)
        for webhook_id in ("wh1", "wh2")
        for number in (1, 2)
        for kind in ("hmac", "ed25519")
    }

    assert len(shared) == 16
    assert {len(b64decode(one.partition("_")[2])) for one in shared} == {32}


def test_ed25519_is_verified_with_the_public_key_alone():
    """And not with another body."""
    sent = made(key(1, "ed25519"))
    public = shared_secret(MASTER, "wh1", key(1, "ed25519"))
    verifier = Ed25519PublicKey.from_public_bytes(b64decode(public.removeprefix("whpk_")))
    signature = b64decode(sent["webhook-signature"].removeprefix("v1a,"))

    verifier.verify(signature, f"e1.{sent['webhook-timestamp']}.".encode() + b'{"a":1}')
    with pytest.raises(InvalidSignature):
        verifier.verify(signature, f"e1.{sent['webhook-timestamp']}.".encode() + b'{"a":2}')
    assert b64encode(b"")[:0] == b""


ORDER = {"type": "order.confirmed.v1", "subject": "DE-17", "source": "/eu/orders", "id": "e1"}


@pytest.mark.parametrize(
    ("filters", "matched"),
    [
        ([], True),
        ([{"exact": {"type": "order.confirmed.v1"}}], True),
        ([{"exact": {"type": "order.confirmed"}}], False),
        ([{"exact": {"type": "order.confirmed.v1", "subject": "DE-18"}}], False),
        ([{"prefix": {"subject": "DE-"}}], True),
        ([{"prefix": {"subject": "de-"}}], False),
        ([{"suffix": {"source": "orders"}}], True),
        ([{"prefix": {"tenant": "x"}}], False),
        ([{"not": {"prefix": {"tenant": "x"}}}], True),
        ([{"prefix": {"type": "order."}}, {"suffix": {"subject": "-18"}}], False),
        ([{"all": [{"prefix": {"type": "order."}}, {"suffix": {"subject": "-17"}}]}], True),
        ([{"any": [{"exact": {"id": "e2"}}, {"exact": {"id": "e1"}}]}], True),
        ([{"any": [{"exact": {"id": "e2"}}, {"exact": {"id": "e3"}}]}], False),
        ([{"not": {"any": [{"exact": {"id": "e1"}}, {"exact": {"id": "e3"}}]}}], False),
        ([{"not": {"not": {"exact": {"id": "e1"}}}}], True),
    ],
)
def test_filters_match_as_the_specification_says(filters, matched):
    """CloudEvents Subscriptions: case matters, and an attribute that is not there matches nothing."""
    assert compiled(filters)(ORDER) is matched


def deep(levels):
    found = {"exact": {"id": "e1"}}
    for _ in range(levels):
        found = {"not": found}
    return found


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({}, "a list of filters"),
        ([{}], "an object with one dialect"),
        ([{"exact": {"id": "a"}, "not": {}}], "an object with one dialect"),
        ([{"sql": "type = 'x'"}], "unknown dialect 'sql'"),
        ([{"exact": {}}], "write an attribute and a text"),
        ([{"exact": {"Type": "x"}}], "an attribute's name"),
        ([{"exact": {"type": 7}}], "a text of 1 to 256"),
        ([{"exact": {"type": ""}}], "a text of 1 to 256"),
        ([{"exact": {"type": "x" * 257}}], "a text of 1 to 256"),
        ([{"all": []}], "with at least one"),
        ([{"any": {"exact": {"id": "a"}}}], "a list of filters"),
        ([{"not": [{"exact": {"id": "a"}}]}], "an object with one dialect"),
        ([deep(9)], "each at most 8 deep"),
        ([{"exact": {"id": "a"}}] * 65, "64 filters are the most"),
    ],
)
def test_a_filter_that_is_wrong_is_refused_with_its_place(filters, said):
    """The words say what to write instead."""
    with pytest.raises(InvalidField, match=said):
        compiled(filters)


declare_events()
SAMPLES = {Money: Money(amount=1, currency="EUR")}
INTERNAL = {
    "mesh",
    "console",
    "customer",
    "profile",
    "contact",
    "fraud",
    "model",
    "journey",
    "template",
    "mail",
    "webhook",
}


def test_nothing_personal_and_nothing_internal_may_leave():
    """Neither personal events, nor those by which services ask each other or report themselves."""
    declarations = [declaration_of(kind) for kind in PARTNER_EVENTS]

    assert [one.type for one in declarations if one.personal or one.encrypted or one.ttl] == []
    assert [one.type for one in declarations if one.domain in INTERNAL | {"delivery", "checkout", "interaction"}] == []
    assert [one.type for one in declarations if one.action.endswith(("requested", "due", "marked"))] == []


@pytest.mark.parametrize("kind", PARTNER_EVENTS, ids=lambda kind: kind.__name__)
def test_what_is_withheld_is_in_no_message(kind, stored_sample):
    """At any depth, of an event with every field; what is not withheld arrives as it was stored."""
    event = stored_sample(kind)
    received = Received(
        event=event, id="e1", time=NOW, stored=NOW, region="eu", sequence=1, subject="", source="orders"
    )

    sent = msgspec.json.decode(body(received))

    assert WITHHELD.isdisjoint(_names(sent["data"]))
    kept = {name for name in msgspec.to_builtins(event) if name not in WITHHELD}
    assert sent["data"].keys() == kept
    assert declaration_of(kind).key in sent["data"]


def _names(value):
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list) else set()


@pytest.fixture
def stored_sample():
    from pathlib import Path

    from mesh.envelope import decode

    folder = Path(__file__).parents[1] / "architecture" / "stored"
    return lambda kind: decode((folder / f"{declaration_of(kind).type}.json").read_bytes())[1]
