"""A trace follows from what events say of themselves."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh.broker.protocol import Message
from mesh.envelope import encode
from mesh.events.cart import CartIdle
from mesh.events.customer import CustomerUnsubscribed
from mesh.operations.causal_tree import TracedEvent, forest, together, traced_event, tree_lines
from mesh.operations.events import HIDDEN

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def happened(id_, *, after=0.0, region="us", **more):
    stored = AT + timedelta(seconds=after)
    fields = {"type": "cart.updated.v1", "key": "c1", "service": "gateway", "time": stored, "stored": stored} | more
    return TracedEvent(id=id_, region=region, **fields)


def stored(subject, event):
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    body = encode(event, id="i1", region="us", source="gateway", traceparent=traceparent, cause="update-1")
    return traced_event(Message(subject, body, 1, AT, {}), here="us")


def shape(branches):
    return [(branch.event.id, shape(branch.followed)) for branch in branches]


def test_what_followed_stands_below_its_cause():
    """Causes make the tree and the log's order the order, however the events were gathered."""
    events = [
        happened("update"),
        happened("idle", after=1, cause="update"),
        happened("left", after=1.1, cause="idle"),
        happened("mail", after=2, cause="left"),
        happened("card", after=1.5, cause="left"),
    ]
    random.Random(7).shuffle(events)

    trees = forest(events)

    assert shape(trees) == [("update", [("idle", [("left", [("card", []), ("mail", [])])])])]


def test_what_the_data_names_stands_in_for_a_cause():
    """An event of a batch names no cause in its envelope, but often the event it is about in its data."""
    score = happened("score", after=1, data={"cart_id": "c1-and-so-on", "abandonment_id": "left-c1-1"})

    trees = forest([happened("left-c1-1"), score])

    assert shape(trees) == [("left-c1-1", [("score", [])])]


def test_a_cause_of_the_same_region_is_preferred():
    """A storefront may send one event to two regions: what follows in each stands below its own."""
    trees = forest([happened("e"), happened("e", region="eu", after=1), happened("x", region="eu", after=2, cause="e")])

    assert shape(trees) == [("e", []), ("e", [("x", [])])]


def test_a_forged_circle_hides_nothing():
    """Events that name each other as causes are shown all the same."""
    trees = forest([happened("a", cause="b"), happened("b", after=1, cause="a"), happened("c", after=2, cause="c")])

    assert sorted(line.split()[-1] for line in tree_lines(trees)) == ["a", "b", "c"]


def test_copies_add_where_it_was_received():
    """The own region's time counts; a copy says when another region received it."""
    home, copy = happened("e"), happened("e", after=0.25, received={"eu": AT + timedelta(seconds=0.25)})

    for one, other in ((home, copy), (copy, home)):
        (line,) = tree_lines(forest([together(one, other)]))

        assert " ".join(line.split()) == "+0.000 s us cart.updated.v1 c1 gateway e; received in eu 0.250 s later"


def test_a_timer_that_waits_says_when_it_is_due():
    """A pending timer has a due time instead of one since the first event; once fired it is an event like others."""
    fired = happened("idle", after=60, type="cart.idle.v1", cause="update")
    waiting = msgspec.structs.replace(fired, stored=AT, due=AT + timedelta(seconds=60))

    assert [line.split()[:3] for line in tree_lines(forest([happened("update"), waiting]))] == [
        ["+0.000", "s", "us"],
        ["due", "11-22", "10:01:00"],
    ]
    assert together(waiting, fired).due is None
    assert together(fired, waiting).due is None


def test_a_long_story_has_times_of_day():
    """Seconds since the first event would tell nobody on which day something happened."""
    lines = tree_lines(forest([happened("first"), happened("last", after=90_000)]))

    assert [line.split()[:2] for line in lines] == [["2026-11-22", "10:00:00"], ["2026-11-23", "11:00:00"]]


def test_the_data_stands_below_its_event():
    """Values are JSON, so that nothing a shopper sent can move the terminal's cursor; each check has its line."""
    checks = [{"name": "cap", "passed": True, "value": "0 of 3"}, {"name": "quiet", "passed": False, "value": "22:30"}]
    decided = happened("decided", data={"cart_id": "c1", "reason": "quiet \x1b[2J", "due": None, "checks": checks})

    _, *below = tree_lines(forest([decided]))

    assert [line.strip() for line in below] == [
        'reason="quiet \\u001b[2J"',
        'passed cap: "0 of 3"',
        'FAILED quiet: "22:30"',
    ]


def test_a_traced_event_holds_its_data():
    """What is shown of an event is its envelope and its fields; what leads on are the ids among them."""
    found = stored("ev.us.cart.idle.c1", CartIdle(cart_id="c1", update_id="update-1"))

    assert (found.id, found.type, found.key, found.region, found.service) == (
        "i1",
        "cart.idle.v1",
        "c1",
        "us",
        "gateway",
    )
    assert (found.trace, found.cause, found.keys) == ("a" * 32, "update-1", ("c1", "update-1"))
    assert found.data == {"cart_id": "c1", "update_id": "update-1", "after": "P0D"}


def test_personal_values_are_not_in_a_traced_event():
    """All fields of a personal event but its key, also those that are stored as they are."""
    found = stored(
        "pii.us.customer.unsubscribed.v1", CustomerUnsubscribed(visitor_id="v1", channel="email", offer_id="o")
    )

    assert found.data == dict.fromkeys(("channel", "offer_id", "purpose"), HIDDEN) | {"visitor_id": "v1", "where": None}


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"specversion":"1.0"}'])
def test_what_is_no_event_is_no_part_of_a_story(body):
    """Markers and garbage in a stream are passed over."""
    assert traced_event(Message("ev.us.cart.idle.c1", body, 1, AT, {}), here="us") is None
