"""The plan: changes become messages, every condition and cancellation exactly once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.envelope import open_envelope
from mesh.errors import DeclarationError, InvalidKey
from mesh.event import declaration_of
from mesh.events.cart import CartIdle
from mesh.events.customer import CustomerUnsubscribed
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshHeartbeat
from mesh.events.offer import OfferDue, OfferSent
from mesh.history import Unchanged
from mesh.publish import Cause, Draft, plan
from mesh.streams import StreamFamily, StreamLayout
from mesh.subjects import subject, timer_subject
from mesh.timers import Cancel, Timer

CAUSE = Cause(id="e1", source="offers.decide", traceparent="00-aa-bb-01")
AT = datetime(2026, 1, 2, tzinfo=UTC)
KEYS = st.sampled_from(["k1", "k2", "k3"])
KINDS = st.sampled_from([CartIdle, OfferDue])


def idle(key):
    return CartIdle(cart_id=key, update_id="u")


def due(key):
    return OfferDue(run_id=key, cart_id=key, journey="j", abandonment_id="a", attempt=1)


def made(*changes, cause=CAUSE):
    return plan(changes, region="us", cause=cause)


EVENT = st.one_of(KEYS.map(idle), KEYS.map(due))
BOOKED = st.one_of(EVENT, EVENT.map(lambda e: Draft(event=e)), EVENT.map(lambda e: Timer(e, AT)))
CONDITION = st.builds(Unchanged, KINDS, KEYS, st.integers(0, 9))
CANCEL = st.builds(Cancel, KINDS, KEYS)
VIEWED = KEYS.map(lambda key: ProductViewed(visitor_id=key, product_id="p"))
CHANGES = st.lists(st.one_of(BOOKED, CONDITION, CANCEL, VIEWED), max_size=14)


@given(CHANGES)
def test_every_change_is_in_the_commit_once(changes):
    """Each event, timer, condition and cancellation becomes exactly one thing to store, check or cancel."""
    whole = made(*changes)

    booked = [c.event if isinstance(c, Draft) else c for c in changes if isinstance(c, CartIdle | OfferDue | Draft)]
    wanted = {subject("us", declaration_of(c.kind), c.key): c.sequence for c in changes if isinstance(c, Unchanged)}
    stored = [m for m in whole.batch if not m.subject.startswith("carrier.")]
    assert sorted(m.subject for m in stored if not m.at) == sorted(
        subject("us", declaration_of(type(e)), e.cart_id) for e in booked
    )
    assert len([m for m in stored if m.at]) == len([c for c in changes if isinstance(c, Timer)])
    assert len(whole.singles) == len([c for c in changes if isinstance(c, ProductViewed)])
    assert sorted(m.cancels for m in whole.batch if m.cancels) == sorted(
        timer_subject("us", declaration_of(c.kind), c.key) for c in changes if isinstance(c, Cancel)
    )
    if whole.batch or whole.singles:
        expected = [(m.expect.subject, m.expect.sequence) for m in whole.batch if m.expect]
        assert sorted(expected) == sorted(wanted.items())


@given(CHANGES)
def test_no_condition_stands_behind_a_message_of_its_subject(changes):
    """The server checks conditions against the state before the batch, and refuses them behind (ADR-50)."""
    written: set[str] = set()

    for message in made(*changes).batch:
        assert message.expect is None or message.expect.subject not in written
        written.add(message.subject)


@given(CHANGES)
def test_schedules_cancel_nothing(changes):
    """Both speak through the same headers, so they never share a message."""
    assert not [m for m in made(*changes).batch if m.at and m.cancels]


@given(CHANGES)
def test_ids_are_stable_and_apart(changes):
    """The same cause makes the same messages; no two of them share an id."""
    ids = [m.id for m in made(*changes).batch] + [m.id for _, m in made(*changes).singles]

    again = made(*changes)
    other = made(*changes, cause=Cause(id="e2", source=CAUSE.source))

    assert ids == [m.id for m in again.batch] + [m.id for _, m in again.singles]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {m.id for m in other.batch}


@given(CHANGES)
def test_conditions_and_cancellations_leave_the_ids_alone(changes):
    """What is decided keeps its ids whatever it was made conditional on, as long as its place is the same."""
    events = [c for c in changes if not isinstance(c, Unchanged | Cancel)]

    bare = [m.id for m in made(*events).batch]
    whole = [m.id for m in made(*events, Unchanged(CartIdle, "k9", 3), Cancel(OfferDue, "k9")).batch]

    assert [id_ for id_ in whole if id_ in bare] == bare


def test_a_region_of_its_own_makes_ids_of_its_own():
    """Two regions that decide about one event do not swallow each other in the mesh's copies."""
    ids = [plan([idle("k1")], region=region, cause=CAUSE).batch[0].id for region in ("us", "eu")]

    assert ids[0] != ids[1]


def test_a_message_tells_its_cause():
    """Source and trace come from the cause, the id of a draft from the draft."""
    message = made(Draft(event=idle("k1"), id="given", time=AT)).batch[0]
    envelope = open_envelope(message.body)

    assert message.id == envelope.id == "given"
    assert (envelope.source, envelope.time, envelope.traceparent) == ("/us/offers", AT, CAUSE.traceparent)


def test_a_timer_waits_on_its_own_subject():
    """The scheduled event carries its id and its due time; the schedule has an id of its own."""
    message = made(Timer(idle("k1"), AT)).batch[0]

    assert (message.subject, message.target, message.at) == ("timer.us.cart.idle.k1", "ev.us.cart.idle.k1", AT)
    assert open_envelope(message.body).time == AT
    assert message.id == f"{open_envelope(message.body).id}.timer"


def test_a_condition_alone_is_nothing_to_commit():
    """Without anything to store there is nothing to be conditional."""
    assert made(Unchanged(CartIdle, "k1", 3)).batch == []


def test_a_condition_beside_interactions_is_committed_first():
    """Interactions are stored one by one, so the condition rides on a carrier before them."""
    whole = made(ProductViewed(visitor_id="v", product_id="p"), Unchanged(CartIdle, "k1", 3))

    (carrier,) = whole.batch
    assert carrier.subject.startswith("carrier.us.")
    assert (carrier.expect.subject, carrier.expect.sequence) == ("ev.us.cart.idle.k1", 3)
    assert carrier.ttl == timedelta(seconds=1)


def test_a_lone_cancellation_rides_on_a_carrier():
    """Something must be stored to cancel a timer."""
    (carrier,) = made(Cancel(CartIdle, "k1")).batch

    assert carrier.cancels == "timer.us.cart.idle.k1"
    assert carrier.body == b""


def test_personal_events_have_a_stream_of_their_own():
    """They have their own root, and are stored by themselves, behind what is committed."""
    unsubscribed = CustomerUnsubscribed(visitor_id="v1", channel="email", offer_id="o1")

    planned = made(unsubscribed, idle("k1"))

    assert [message.subject for message in planned.batch] == ["ev.us.cart.idle.k1"]
    assert [(stream, message.subject) for stream, message in planned.singles] == [
        ("PERSONAL_us", "pii.us.customer.unsubscribed.v1")
    ]


@pytest.mark.parametrize(
    "change", [idle("a.b"), Timer(idle("*"), AT), Cancel(CartIdle, ">"), Unchanged(CartIdle, "", 0)]
)
def test_an_illegal_key_is_refused_everywhere(change):
    """No change reaches the broker with a key that is no token."""
    with pytest.raises(InvalidKey):
        made(idle("k1"), change)


@pytest.mark.parametrize(
    "change",
    [
        Unchanged(ProductViewed, "k1", 0),
        Cancel(ProductViewed, "k1"),
        Timer(ProductViewed(visitor_id="k1", product_id="p"), AT),
        Unchanged(CustomerUnsubscribed, "k1", 0),
        Cancel(CustomerUnsubscribed, "k1"),
        Cancel(MeshHeartbeat, "us"),
    ],
)
def test_only_some_streams_have_conditions_and_timers(change):
    """Interactions, personal events and what the mesh itself does cannot be scheduled, the first two not expected."""
    with pytest.raises(DeclarationError, match=r"only events of (an atomic stream|a stream with timers)"):
        made(change)


def test_what_is_no_change_is_refused():
    """A handler that yields anything else learns what it may yield."""
    with pytest.raises(DeclarationError, match=r"offers\.decide: 7 is no event, Timer, Cancel or Unchanged"):
        made(7)


def test_a_commit_has_a_limit():
    """1,000 messages are the most that the server commits at once."""
    assert len(made(*(idle(f"k{at}") for at in range(1000))).batch) == 1000
    with pytest.raises(DeclarationError, match="1001 messages"):
        made(*(idle(f"k{at}") for at in range(1001)))


def test_one_commit_is_in_one_stream():
    """What must be stored together cannot be in two atomic streams; in the same stream of its own it can."""
    layout = StreamLayout(
        own=(StreamFamily(name="OFFERS", domains=("offer",), keep=timedelta(days=9), schedules=True),)
    )

    alone = plan([due("k1"), Unchanged(OfferSent, "o1", 4)], region="us", cause=CAUSE, layout=layout)
    conditions = [m.expect.subject for m in alone.batch if m.expect]

    assert (alone.stream, len(alone.batch), conditions) == ("OFFERS_us", 1, ["ev.us.offer.sent.o1"])
    for other in (idle("k1"), Timer(idle("k1"), AT), Cancel(CartIdle, "k1"), Unchanged(CartIdle, "k1", 3)):
        with pytest.raises(
            DeclarationError,
            match=r"offer\.due\.v1 and cart\.idle\.v1 .* COMMERCE, the other in OFFERS|"
            r"offer\.due\.v1 and cart\.idle\.v1 .* OFFERS, the other in COMMERCE",
        ):
            plan([due("k1"), other], region="us", cause=CAUSE, layout=layout)


def test_a_carrier_is_stored_in_the_stream_of_its_commit():
    """A condition without a message to ride on has one of its own, where the condition can be checked."""
    layout = StreamLayout(
        own=(StreamFamily(name="OFFERS", domains=("offer",), keep=timedelta(days=9), schedules=True),)
    )
    conditions = [Unchanged(OfferSent, "o1", 4), Unchanged(OfferSent, "o2", 4)]

    carrier, _ = plan([due("k1"), *conditions], region="us", cause=CAUSE, layout=layout).batch

    assert carrier.subject.startswith("carrier.us.offers.")
