"""A history: what happened to one key, and the condition that nothing happened since."""

from datetime import UTC, datetime

from mesh.envelope import Received
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.offer import OfferDue
from mesh.history import History, Unchanged

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def received(event, sequence):
    return Received(event=event, id=str(sequence), time=TIME, stored=TIME, region="us", sequence=sequence, subject="")


def idle(update):
    return CartIdle(cart_id="c1", update_id=update)


FIRST, DUE, SECOND = (
    received(idle("u1"), 3),
    received(OfferDue(run_id="c1", cart_id="c1", journey="j", abandonment_id="a", attempt=1), 5),
    received(idle("u2"), 9),
)
HISTORY = History("c1", (FIRST, DUE, SECOND))


def test_a_history_is_in_the_order_of_event_times():
    """Iterating gives everything, oldest first."""
    assert list(HISTORY) == [FIRST, DUE, SECOND]


def test_of_gives_one_kind():
    """Only that kind, oldest first; nothing where it never happened."""
    assert HISTORY.of(CartIdle) == [FIRST, SECOND]
    assert HISTORY.of(CartUpdated) == []


def test_last_gives_the_newest_of_a_kind():
    """The newest, or None."""
    assert HISTORY.last(CartIdle) == SECOND
    assert HISTORY.last(CartUpdated) is None


def test_unchanged_is_one_condition_per_kind():
    """At the newest sequence of each kind; 0 where it never happened."""
    assert HISTORY.unchanged(CartIdle, OfferDue, CartUpdated) == [
        Unchanged(CartIdle, "c1", 9),
        Unchanged(OfferDue, "c1", 5),
        Unchanged(CartUpdated, "c1", 0),
    ]
