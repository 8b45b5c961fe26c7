"""What the gateway takes from storefronts, and what it refuses with which words."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.accept import PAGE, SERVER
from mesh.events.cart import CartUpdated
from mesh.runtime.discovery import discover
from mesh.runtime.hosting import Handler, Hosted
from services.gateway.intake import Intake, IntakeSettings
from services.gateway.judged import Sender
from services.gateway.request_body import open_request

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LINE = {"product_id": "sku-1", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}
CART = {
    "id": "e1",
    "type": "cart_updated",
    "time": "2026-05-01T12:00:00Z",
    "visitor_id": "v1",
    "cart_id": "c1",
    "lines": [LINE],
}
ORDER = {**CART, "type": "order_placed", "order_id": "o1", "total": LINE["price"]}
CUSTOMER = {
    "id": "e1",
    "type": "customer_identified",
    "time": "2026-05-01T12:00:00Z",
    "visitor_id": "v1",
    "email": "ada@example.com",
}


ACCEPTANCES = [one for service in discover() for one in service.acceptances if not one.joins]
HOSTED = {one.type: Hosted(owner=Handler(acceptance=one, extra={})) for one in ACCEPTANCES}
INTAKE = Intake(HOSTED, IntakeSettings(), lambda customer_id, signature: signature == f"signed {customer_id}")


def judge(*events, by=PAGE):
    judged = judge_raw(msgspec.json.encode({"events": events}), by=by)
    return judged.valid, judged.rejected, judged.repeated


def judge_raw(body, by=PAGE):
    return INTAKE.judge(open_request(body), Sender(scope="key", by=by), NOW)


def refusal(event):
    """Where and why an event is refused before anything is decided."""
    valid, (rejected,), _ = judge(event)
    assert valid == []
    return rejected.path, rejected.reason


def test_each_storefront_type_is_named_like_its_event():
    """A storefront's type is the event's name in snake case."""
    assert sorted(HOSTED) == sorted(
        [
            "product_viewed",
            "product_searched",
            "cart_updated",
            "cart_line_added",
            "cart_line_removed",
            "checkout_started",
            "recommendation_shown",
            "push_subscribed",
            "recommendation_clicked",
            "offer_shown",
            "offer_clicked",
            "order_cancellation_reported",
            "order_refund_reported",
            "order_placed",
            "order_confirmed",
            "customer_identified",
            "consent_changed",
            "product_listed",
            "shipment_created",
            "shipment_delivered",
            "shipment_dispatched",
            "shipment_returned",
        ]
    )


LISTED = {"id": "e1", "type": "product_listed", "time": "2026-05-01T12:00:00Z", "product_id": "sku-1"}


def test_a_page_cannot_say_what_is_in_stock():
    """The catalogue is refused from a storefront, whose key is public, and the reason says which key it takes."""
    path, reason = refusal({**LISTED, "available": False})

    assert path == "$.type"
    assert "CARTMESH_SERVER_KEYS" in reason


def test_the_shops_servers_say_what_the_catalogue_has():
    """With a server key a product arrives as it is listed; all but its id may be left out."""
    events = [{**LISTED, "name": "Tent Pro", "group": "tent", "price": LINE["price"], "available": False}, CART]
    events[1] = {**CART, "id": "e2"}

    valid, rejected, _ = judge(*events, by=SERVER)

    assert rejected == []
    listed, cart = (one.sent.event for one in valid)
    assert (listed.name, listed.group, listed.price.amount) == ("Tent Pro", "tent", 1299)
    assert (listed.available, listed.recommendable) == (False, True)
    assert isinstance(cart, CartUpdated)


@pytest.mark.parametrize(
    "wrong",
    [{"product_id": "a b"}, {"name": "x" * 513}, {"price": {"amount": -1, "currency": "EUR"}}, {"available": 1}],
)
def test_a_listing_keeps_to_the_rules_of_all_events(wrong):
    """A listing with an unusable id, an endless name, a negative price or an unclear stock is refused."""
    valid, (rejected,), _ = judge({**LISTED, **wrong}, by=SERVER)

    assert valid == []
    assert rejected.path.startswith(f"$.{next(iter(wrong))}")


SHOWN = {
    "id": "e1",
    "type": "recommendation_shown",
    "time": "2026-05-01T12:00:00Z",
    "visitor_id": "v1",
    "list_id": "l1",
    "place": "cart",
    "product_ids": ["sku-1", "sku-2"],
}


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"product_ids": []}, "$.product_ids", "1 to 100 ids, not 0"),
        ({"product_ids": ["p"] * 101}, "$.product_ids", "1 to 100 ids, not 101"),
        ({"product_ids": ["sku-1", "a b"]}, "$.product_ids[1]", "must be 1 to 128"),
        ({"list_id": "a b"}, "$.list_id", "must be 1 to 128"),
        ({"place": "my cart"}, "$.place", "Expected `str` matching regex"),
        ({"first": -1}, "$.first", "0 to 1000000000"),
    ],
)
def test_a_shown_list_is_bounded(change, path, words):
    """An id is an id, and a page cannot fill the stream with one event."""
    (one,), _, _ = judge(SHOWN)
    found, reason = refusal({**SHOWN, **change})

    assert one.sent.event.product_ids == ("sku-1", "sku-2")
    assert (found, words in reason) == (path, True)


def test_a_cart_arrives_whole():
    """A valid cart arrives as the mesh's own event, with its id and its time in UTC."""
    (one,), rejected, _ = judge({**CART, "time": "2026-05-01T14:00:00+02:00"})

    assert rejected == []
    assert (one.id, one.sent.id, one.sent.time) == ("e1", "key-e1", NOW)
    assert isinstance(one.sent.event, CartUpdated)
    assert one.sent.event.lines[0].price.amount == 1299


def test_a_bad_event_spoils_no_other():
    """In a request where some events are good, those are accepted and each bad one is named."""
    valid, rejected, _ = judge(
        CART, {"id": "e2", "type": "nonsense", "time": "2026-05-01T12:00:00Z"}, {**CART, "id": "e3"}, 7
    )

    assert [one.id for one in valid] == ["e1", "e3"]
    assert [(one.index, one.id, one.path) for one in rejected] == [(1, "e2", "$.type"), (3, None, "$")]


@pytest.mark.parametrize("bad", ["a b", "a.b", "*", ">", "x" * 10_000, "\N{GRINNING FACE}", "", "a\n", "é"])
@pytest.mark.parametrize("name", ["id", "visitor_id", "cart_id"])
def test_ids_that_cannot_be_subject_tokens_are_refused(bad, name):
    """Spaces, dots, wildcards, emoji, 10,000 characters: refused, with the rule in words and a bounded answer."""
    path, reason = refusal({**CART, name: bad})

    assert path == f"$.{name}"
    assert "must be 1 to 128 of A-Z a-z 0-9 _ and -" in reason
    assert len(reason) < 200


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"price": {"amount": -1, "currency": "EUR"}}, "$.lines[0].price.amount", "0 to 1000000000 minor units"),
        ({"price": {"amount": 10**9 + 1, "currency": "EUR"}}, "$.lines[0].price.amount", "not 1000000001"),
        ({"price": {"amount": 10**40, "currency": "EUR"}}, "$.lines[0].price.amount", "0 to 1000000000"),
        ({"price": {"amount": 1.5, "currency": "EUR"}}, "$.lines[0].price.amount", "Expected `int`"),
        ({"price": {"amount": 1, "currency": "EURO"}}, "$.lines[0].price.currency", "'EURO' is no ISO 4217 currency"),
        ({"price": {"amount": 1, "currency": "eur"}}, "$.lines[0].price.currency", "ISO 4217"),
        ({"quantity": 0}, "$.lines[0].quantity", "1 to 1000 pieces, not 0"),
        ({"quantity": 1001}, "$.lines[0].quantity", "not 1001"),
        ({"product_id": "a b"}, "$.lines[0].product_id", "must be 1 to 128"),
        ({"price": 1299}, "$.lines[0].price", "an amount in minor units (cents) with its currency"),
        ({"price": {"amount": 12.99, "currency": "EUR"}}, "$.lines[0].price.amount", "minor units, 1299 for 12.99"),
        ({"price": {"currency": "EUR"}}, "$.lines[0].price.amount", "missing required field `amount`"),
    ],
)
def test_a_bad_line_is_refused_at_its_place(change, path, words):
    """Negative or huge prices, unknown currencies, impossible quantities: the answer says which line and why."""
    at, reason = refusal({**CART, "lines": [{**LINE, **change}]})

    assert at == path
    assert words in reason


def test_a_cart_has_at_most_200_lines_and_one_currency():
    """Too many lines or two currencies make a cart that nobody can price."""
    assert refusal({**CART, "lines": [LINE] * 201}) == ("$.lines", "at most 200 lines, not 201")
    dollars = {**LINE, "price": {"amount": 1, "currency": "USD"}}
    assert refusal({**CART, "lines": [LINE, dollars]}) == ("$.lines", "a cart has one currency, not EUR and USD")


def test_an_order_has_lines_in_the_currency_of_its_total():
    """An empty order, or one that is totalled in another currency, is refused."""
    assert refusal({**ORDER, "lines": []}) == ("$.lines", "an order has at least one line")
    at, _ = refusal({**ORDER, "total": {"amount": 1, "currency": "USD"}})
    assert at == "$.lines"


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2027-05-01T12:00:00Z", "too far ahead"),
        ("2025-05-01T12:00:00Z", "too far behind"),
        ("2026-05-01T12:05:01Z", "too far ahead"),
        ("0001-01-01T00:00:00+14:00", "too far behind"),
        ("2026-05-01T12:00:00", "timezone"),
        ("yesterday", "Invalid RFC3339"),
    ],
)
def test_times_far_from_now_are_refused(time, words):
    """A year ahead or back, or a time without a zone, is no time at which a shopper did something."""
    at, reason = refusal({**CART, "time": time})

    assert at == "$.time"
    assert words in reason


def test_times_of_an_offline_week_are_accepted():
    """A phone that was off for a week sends what happened then."""
    valid, rejected, _ = judge({**CART, "time": (NOW - timedelta(days=7)).isoformat()})

    assert (len(valid), rejected) == (1, [])


@pytest.mark.parametrize(
    "email",
    ["", "ada", "a@b", ".a@example.com", "a..b@example.com", "a b@example.com", "a@exa_mple.com", "ädä@example.com",
     "a@" + "x" * 250 + ".com", "a@example.com\nBcc: x@y.z", 7, None, "a@example.com\ufffe"],
)  # fmt: skip
def test_who_cannot_be_written_to_is_refused(email):
    """An address that nobody can write to is refused when it is sent, not when a mail is due."""
    path, _ = refusal({**CUSTOMER, "email": email})

    assert path == "$.email"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(" ada@example.com\n", "ada@example.com"), ("ada@bücher.example", "ada@xn--bcher-kva.example"),
     ("Ada@EXAMPLE.com", "Ada@example.com")],
)  # fmt: skip
def test_an_address_is_stored_as_mail_servers_write_it(sent, stored):
    """Space around it is no part of it, and an international domain has its IDNA form."""
    (one,), _, _ = judge({**CUSTOMER, "email": sent})

    assert one.sent.event.email == stored


@pytest.mark.parametrize(
    ("event", "field", "value", "words"),
    [
        (CUSTOMER, "time_zone", "Etc/Unknown", "no IANA time zone"),
        (CUSTOMER, "time_zone", "+02:00", "no IANA time zone"),
        (CUSTOMER, "time_zone", "../../etc/passwd", "no IANA time zone"),
        (CUSTOMER, "locale", "xx-YY-ZZ-nonsense", "no locale"),
        (CUSTOMER, "locale", "../x", "no locale"),
        (CUSTOMER, "locale", 7, "Expected `str"),
        (CUSTOMER, "name", "A\x00da", "no control characters"),
        (CUSTOMER, "name", "A\uffffda", "no noncharacters"),
        (CUSTOMER, "name", "A\U0010fffeda", "no noncharacters"),
        (CUSTOMER, "name", "x" * 513, "at most 512 characters, not 513"),
        (CART, "utc_offset", 900, "-720 to 840 minutes east of UTC, not 900"),
        (CART, "session_id", "a b", "must be 1 to 128"),
        (ORDER, "coupon", ["x"], "Expected `str"),
    ],
)
def test_an_event_is_taken_without_a_bad_optional_field(event, field, value, words):
    """One odd field costs nobody the address, the cart or the order; the answer says what was left out."""
    judged = judge_raw(msgspec.json.encode({"events": [{**event, field: value}]}))

    (one,), (left,) = judged.valid, judged.ignored
    assert getattr(one.sent.event, field) is None
    assert (left.index, left.id, left.path) == (0, "e1", f"$.{field}")
    assert words in left.reason


@pytest.mark.parametrize("value", ["x" * 513, "a\x00b", "a\ufdd0b", 5])
def test_a_cart_is_taken_without_a_lines_bad_optional_field(value):
    """A line is worth more than its name."""
    judged = judge_raw(msgspec.json.encode({"events": [{**CART, "lines": [LINE | {"name": value}, LINE]}]}))

    (one,), (left,) = judged.valid, judged.ignored
    assert ([line.name for line in one.sent.event.lines], left.path) == ([None, None], "$.lines[0].name")


def test_texts_are_tidied():
    """Space around a text goes, tabs and line breaks inside become spaces, and a blank text is none."""
    named, blank = {**CUSTOMER, "name": "  Ada\tKing\r\nLovelace "}, {**CUSTOMER, "id": "e2", "name": " \t "}

    judged = judge_raw(msgspec.json.encode({"events": [named, blank]}))

    assert [one.sent.event.name for one in judged.valid] == ["Ada King Lovelace", None]
    assert judged.ignored == []


def test_a_locales_extension_is_no_part_of_it():
    """`en-US-u-va-posix`, as some browsers say, is `en-US`."""
    (one,), _, _ = judge({**CUSTOMER, "locale": "en-US-u-va-posix"})

    assert one.sent.event.locale == "en-US"


def test_what_means_something_when_absent_is_not_left_out():
    """A bad purpose does not become `marketing`: without it the event would say something else."""
    consent = {**CUSTOMER, "type": "consent_changed", "channel": "email", "granted": True, "purpose": "nonsense"}

    path, reason = refusal(consent)

    assert (path, "unknown purpose" in reason) == ("$.purpose", True)


def test_unknown_fields_are_named():
    """A field that nothing reads is said to the sender, with what may have been meant; the script's own are known."""
    event = {**CART, "curency": "EUR", "customer_idd": "x", "lines": [LINE | {"qantity": 3, "sku": 7}]}

    judged = judge_raw(msgspec.json.encode({"events": [event, {**CUSTOMER, "id": "e2", "session_id": "s1"}]}))

    assert [(one.path, one.reason) for one in judged.ignored] == [
        ("$.curency", "unknown field"),
        ("$.customer_idd", "unknown field; did you mean `customer_id`?"),
        ("$.lines[0].qantity", "unknown field; did you mean `quantity`?"),
        ("$.lines[0].sku", "unknown field"),
    ]


@pytest.mark.parametrize("raw", [b'{"x": "\\ud83d"}', b'{"x": "\xff"}', b'"\\ud83d"'])
def test_a_cut_emoji_spoils_no_other_event(raw):
    """Half of a surrogate pair, or a broken byte, is refused with its event; the order beside it is taken."""
    cart = msgspec.json.encode(CART)

    judged = judge_raw(b'{"events": [' + raw + b", " + cart + b"]}")

    assert ([one.id for one in judged.valid], [one.index for one in judged.rejected]) == (["e1"], [0])


def test_a_cut_emoji_in_a_name_costs_the_name():
    """The line around it is taken; a text that must be there is refused with the reason."""
    named = msgspec.json.encode({**CART, "lines": [LINE | {"name": "@"}]}).replace(b"@", b"Tent \\ud83d")
    searched = {"id": "e2", "type": "product_searched", "time": CART["time"], "visitor_id": "v1", "query": "@"}
    cut = msgspec.json.encode(searched).replace(b"@", b"tent \\ud83d")

    judged = judge_raw(b'{"events": [' + named + b", " + cut + b"]}")

    assert [one.sent.event.lines[0].name for one in judged.valid] == [None]
    assert [one.path for one in judged.ignored] == ["$.lines[0].name"]
    (rejected,) = judged.rejected
    assert (rejected.path, "toWellFormed()" in rejected.reason) == ("$.query", True)


def test_a_known_customer_is_accepted():
    """A proper address, zone and locale are taken in either spelling of locales."""
    for locale in ("de-DE", "de_DE", "pt-BR", "zh-Hant-TW", "en"):
        _, rejected, _ = judge({**CUSTOMER, "locale": locale, "time_zone": "Europe/Berlin"})
        assert rejected == []


@pytest.mark.parametrize("missing", ["id", "type", "time", "visitor_id", "cart_id", "lines"])
def test_a_missing_field_is_named(missing):
    """Whatever field is missing, the path and the reason name it."""
    path, reason = refusal({key: value for key, value in CART.items() if key != missing})

    assert (path, reason) == (f"$.{missing}", f"missing required field `{missing}`")


def test_saying_it_twice_is_not_saying_two_things():
    """The same event twice in a request is one event; the same id with another body is refused."""
    valid, rejected, repeated = judge(CART, CART, {**CART, "cart_id": "c2"})

    assert (len(valid), repeated) == (1, 1)
    assert [(one.index, one.path, one.reason) for one in rejected] == [
        (2, "$.id", "event 0 of this request has the same id and another body")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"events": 1}',
        b"null",
        b'{"events": [}',
        b"\xff",
        b"[" * 100_000,
        b'{"events": "\\ud800"}',
        b'{"events": [NaN, "\\ud800"]}',
    ],
)
def test_what_is_no_list_of_events_is_refused_whole(body):
    """Malformed JSON and other shapes raise one kind of error."""
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        open_request(body)


@pytest.mark.parametrize("raw", [b'{"id": "\xff"}', b"[[[[]]]]", b'{"id": {"$": 1}}', b'"x"', b"null"])
def test_strange_values_are_refused_one_by_one(raw):
    """Broken text and other shapes inside the list are an event's fault, not the request's."""
    judged = judge_raw(b'{"events": [' + raw + b"]}")

    assert (judged.valid, len(judged.rejected)) == ([], 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([CART, ORDER, CUSTOMER]), st.sampled_from(sorted({*ORDER, *CUSTOMER})), json_values)
def test_whatever_stands_in_a_field_is_judged(event, field, value):
    """Any JSON in any field is either accepted or rejected with a path and a reason; nothing else happens."""
    valid, rejected, _ = judge({**event, field: value})

    assert len(valid) + len(rejected) == 1
    assert all(one.path.startswith("$") and one.reason for one in rejected)


@given(st.binary(max_size=60))
def test_whatever_stands_in_a_body_is_judged(body):
    """Any bytes are events or a decoding error."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        judge_raw(body)


CONSENT = {
    "id": "e1",
    "type": "consent_changed",
    "time": "2026-05-01T12:00:00Z",
    "visitor_id": "v1",
    "channel": "email",
}


def test_a_consent_is_taken_with_its_proof():
    """Where it was given, and the words that were agreed to; of words without end the refusal counts all the same."""
    proof = {"where": "https://shop.example/en/account", "wording": "Yes, send me offers by e-mail"}
    (given,), _, _ = judge({**CONSENT, "granted": True, **proof})
    (endless,), _, _ = judge({**CONSENT, "granted": False, "wording": "x" * 2_001})

    assert (given.sent.event.where, given.sent.event.wording) == (proof["where"], proof["wording"])
    assert (endless.sent.event.granted, endless.sent.event.wording) == (False, None)
