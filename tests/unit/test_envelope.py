"""The envelope: round trips, and garbage is InvalidEvent and nothing else."""

import json
import string
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.envelope import decode, derive_id, encode, open_envelope, region_of
from mesh.errors import InvalidEvent
from mesh.events.cart import CartIdle, CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderPlaced
from mesh.money import Money

KEYS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
MAYBE = st.none() | TEXTS
MONEY = st.builds(Money, amount=st.integers(-(2**63), 2**63 - 1), currency=TEXTS)
LINES = st.builds(CartLine, product_id=TEXTS, quantity=st.integers(0, 10**6), price=MONEY, name=MAYBE, url=MAYBE)
EVENTS = st.one_of(
    st.builds(CartIdle, cart_id=KEYS, update_id=TEXTS),
    st.builds(CartUpdated, cart_id=KEYS, visitor_id=TEXTS, lines=st.lists(LINES, max_size=4).map(tuple), device=MAYBE),
    st.builds(OrderPlaced, order_id=KEYS, visitor_id=TEXTS, lines=st.just(()), total=MONEY, coupon=MAYBE),
    st.builds(ProductViewed, visitor_id=KEYS, product_id=TEXTS, price=st.none() | MONEY),
)
TIMES = st.datetimes(timezones=st.just(UTC))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
YEAR_2, YEAR_9998 = datetime.fromisoformat("0002-01-01"), datetime.fromisoformat("9998-01-01")
WHOLE = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/us/carts",
    "type": "cart.idle.v1",
    "subject": "c1",
    "time": "2026-01-02T03:04:05Z",
    "data": {"cart_id": "c1", "update_id": "u1"},
}


def body(**changed):
    return json.dumps({name: value for name, value in {**WHOLE, **changed}.items() if value is not ...}).encode()


@given(EVENTS, TIMES, TEXTS.filter(bool), st.none() | TEXTS)
def test_what_was_encoded_is_decoded(happened, time, id_, traceparent):
    """Event, id, source, time and trace survive the wire; and the envelope is a CloudEvent."""
    sent = encode(happened, id=id_, region="us", source="carts", time=time, traceparent=traceparent)

    envelope, received = decode(sent)

    assert received == happened
    assert (envelope.id, envelope.source, envelope.time, envelope.traceparent) == (id_, "/us/carts", time, traceparent)
    assert (envelope.specversion, envelope.datacontenttype) == ("1.0", "application/json")
    assert region_of(envelope) == "us"


@given(st.binary(max_size=300))
def test_any_bytes_are_an_invalid_event(garbage):
    """Random bytes raise InvalidEvent."""
    with pytest.raises(InvalidEvent):
        decode(garbage)


@given(EVENTS, st.data())
def test_a_damaged_envelope_is_invalid_or_another_event(happened, data):
    """Bytes overwritten, cut out or put in: an event or InvalidEvent, never another error."""
    whole = encode(happened, id="e1", region="us", source="carts")
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))

    damaged = whole[:start] + data.draw(st.binary(max_size=6)) + whole[end:]

    try:
        envelope, _ = decode(damaged)
    except InvalidEvent:
        return
    assert envelope.time.utcoffset() == timedelta(0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(sorted(WHOLE)), JSON)
def test_any_json_in_any_attribute_is_invalid_or_an_event(name, value):
    """No value of any attribute makes anything but an event or InvalidEvent."""
    try:
        envelope, happened = decode(body(**{name: value}))
    except InvalidEvent:
        return
    assert isinstance(happened, CartIdle)
    assert isinstance(region_of(envelope), str)


@pytest.mark.parametrize(
    ("given_body", "reason"),
    [
        (b"", "not a CloudEvent"),
        (b"null", "not a CloudEvent"),
        (body(id=...), "missing required field `id`"),
        (body(specversion="0.3"), "specversion"),
        (body(time="yesterday"), "time"),
        (body(time="2026-01-02T03:04:05"), "no zone"),
        (body(time="0001-01-01T00:00:00+14:00"), "no time in UTC"),
        (body(type="cart.exploded.v1"), "unknown event type 'cart.exploded.v1'"),
        (body(data={"cart_id": "c1"}), r"cart.idle.v1 e1: .*update_id"),
        (body(data={"cart_id": 7, "update_id": "u1"}), r"\$.cart_id"),
        (body(data=None), "Expected `object`"),
        (body(data="x").replace(b'"x"', b'{"cart_id": "\xff", "update_id": "u1"}'), "utf-8"),
        (body(data="x").replace(b'"x"', b"[" * 100_000 + b"]" * 100_000), "recursion"),
    ],
    ids=range(13),
)
def test_the_reason_says_what_is_wrong_where(given_body, reason):
    """Who reads the dead letter learns what to mend."""
    with pytest.raises(InvalidEvent, match=reason):
        decode(given_body)


@given(st.builds(datetime.astimezone, st.datetimes(YEAR_2, YEAR_9998, timezones=st.just(UTC)), ZONES))
def test_times_arrive_in_utc(time):
    """Whatever zone a time was written in, it is read as the same moment in UTC."""
    envelope = open_envelope(body(time=time.isoformat()))

    assert abs(envelope.time - time) < timedelta(microseconds=1)
    assert envelope.time.utcoffset() == timedelta(0)


def test_unknown_attributes_are_ignored():
    """CloudEvents extensions of others do no harm."""
    envelope, _ = decode(body(partitionkey="p", com_example={"deep": [1]}))

    assert envelope.id == "e1"


@pytest.mark.parametrize(
    ("source", "region"), [("/us/carts", "us"), ("/us", "us"), ("/", ""), ("", ""), ("us/carts", "")]
)
def test_the_region_is_read_from_the_source(source, region):
    """A source of another shape has no region."""
    assert region_of(open_envelope(body(source=source))) == region


@given(st.lists(st.text(string.ascii_letters + string.digits + "._-", max_size=8), min_size=2, max_size=4))
def test_derived_ids_are_stable_and_apart(parts):
    """The same cause gives the same id; parts do not run into each other."""
    whole = derive_id(*parts)

    assert whole == derive_id(*parts)
    assert len(whole) == 32
    assert whole != derive_id("".join(parts))
    assert whole != derive_id(*parts, "more")


def test_the_wire_format_is_frozen():
    """Golden bytes: whoever changes these breaks readers of 400 days of history."""
    sent = encode(
        CartIdle(cart_id="c1", update_id="u1"),
        id="e1",
        region="us",
        source="carts",
        time=datetime(2026, 1, 2, tzinfo=UTC),
    )

    assert sent == (
        b'{"specversion":"1.0","id":"e1","source":"/us/carts","type":"cart.idle.v1","subject":"c1",'
        b'"time":"2026-01-02T00:00:00Z","data":{"cart_id":"c1","update_id":"u1","after":"P0D"}}'
    )
    assert msgspec.json.decode(sent)["data"] == {"cart_id": "c1", "update_id": "u1", "after": "P0D"}
