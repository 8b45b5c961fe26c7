"""What is true of a cart does not depend on the order in which its events are received."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mesh import Money, Received
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartLine, CartRecovered, CartUpdated
from mesh.events.offer import OfferSent
from services.carts.fold import CartView, fold, step

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STORED = NOW + timedelta(hours=1)
PRICE = Money(amount=1299, currency="EUR")
LINES = (CartLine(product_id="sku-1", quantity=2, price=PRICE),)


def updated(visitor_id="v1", lines=LINES):
    return CartUpdated(cart_id="c1", visitor_id=visitor_id, lines=lines)


def abandoned(minute):
    left = NOW + timedelta(minutes=minute)
    return CartAbandoned(cart_id="c1", visitor_id="v1", lines=LINES, total=PRICE, left_at=left, due=left)


CONVERTED = CartConverted(cart_id="c1", order_id="o1", visitor_id="v1")
CLOSED = CartClosed(cart_id="c1", order_id="o2", visitor_id="v1", region="eu")
SENT = OfferSent(cart_id="c1", visitor_id="v1", offer_id="offer-1", channel="email")
RECOVERED = CartRecovered(cart_id="c1", visitor_id="v1", order_id="o1", offer_id="offer-1", value=PRICE)


def received(*entries):
    """Events with their minutes, in the order in which they were stored."""
    return [
        Received(
            event=event,
            id=f"id-{place}",
            time=NOW + timedelta(minutes=minute),
            stored=STORED,
            region="us",
            sequence=place,
            subject="",
        )
        for place, (event, minute) in enumerate(entries, 1)
    ]


minutes = st.integers(0, 5)
events = st.one_of(
    st.builds(updated, st.sampled_from(["v1", "v2"]), st.sampled_from([LINES, ()])),
    st.builds(abandoned, minutes),
    st.sampled_from([CONVERTED, CLOSED, SENT, RECOVERED]),
)
histories = st.lists(st.tuples(events, minutes), max_size=12).map(lambda entries: received(*entries))


@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_delivery_makes_no_difference(history, random):
    """However a history is shuffled, the cart is the same."""
    shuffled = random.sample(history, len(history))

    assert fold("c1", shuffled) == fold("c1", history)


@given(histories, st.randoms(use_true_random=False))
def test_redelivery_makes_no_difference(history, random):
    """Redelivered events change nothing, whenever they come."""
    again = history + random.choices(history, k=5) if history else []

    assert fold("c1", again) == fold("c1", history)


@given(histories)
def test_the_newest_update_is_the_cart(history):
    """The lines are those of the update with the latest time, the later place deciding between equals."""
    updates = [received for received in history if isinstance(received.event, CartUpdated)]
    newest = max(updates, key=lambda received: (received.time, received.sequence), default=None)

    cart = fold("c1", history)

    assert (cart.update_id, cart.lines) == ((newest.id, newest.event.lines) if newest else (None, ()))


@given(histories)
def test_a_cart_that_ended_after_its_newest_update_is_neither_open_nor_abandoned(history):
    """What was bought, later by time or by place, is never offered again."""
    cart = fold("c1", history)
    ends = [r for r in history if isinstance(r.event, CartConverted | CartClosed)]
    ended = [r for r in ends if cart.updated_at and (r.time >= cart.updated_at or r.sequence > cart.update_sequence)]

    assert (cart.status in ("converted", "closed")) == bool(ended or (ends and cart.updated_at is None))


@given(histories)
def test_only_a_filled_untouched_cart_is_abandoned(history):
    """An abandoned cart has lines, and its newest update is the one that was left."""
    cart = fold("c1", history)

    if cart.status == "abandoned":
        assert cart.lines
        assert cart.left_at >= cart.updated_at


def test_a_cart_that_is_filled_again_after_a_purchase_is_open():
    """Shops reuse cart ids: an update behind the order, by time and by place, begins anew."""
    assert fold("c1", received((updated(), 0), (CONVERTED, 1), (updated(), 2))).status == "open"


def test_an_update_that_was_under_way_during_the_purchase_opens_nothing():
    """An update that happened before the order and arrived behind it changes nothing."""
    assert fold("c1", received((CONVERTED, 1), (updated(), 0))).status == "converted"


def test_a_purchase_by_a_slow_clock_counts_by_its_place():
    """An order that was stored behind the update ends the cart even if its clock says earlier."""
    assert fold("c1", received((updated(), 1), (CONVERTED, 0))).status == "converted"


def test_a_touched_cart_is_no_longer_abandoned():
    """A shopper who comes back and adds something has an open cart."""
    assert [fold("c1", received(*entries)).status for entries in (
        [(updated(), 0), (abandoned(0), 3)],
        [(updated(), 0), (abandoned(0), 3), (updated(), 4)],
        [(updated(), 0), (abandoned(0), 3), (updated(lines=()), 4)],
        [],
    )] == ["abandoned", "open", "emptied", "unknown"]  # fmt: skip


def test_a_fast_clock_does_not_put_an_update_behind_a_purchase():
    """What a phone says happened in an hour happened at the latest when it was stored."""
    (update, _) = received((updated(), 600), (CONVERTED, 0))

    assert fold("c1", [update]).updated_at == STORED


def test_a_total_is_the_sum_of_its_lines():
    """Quantity times price, in one currency; an empty cart has none."""
    assert fold("c1", received((updated(), 0))).total == Money(amount=2598, currency="EUR")
    assert CartView(cart_id="c1").total is None


def test_foreign_events_change_nothing():
    """An event of another kind leaves a cart as it was."""
    (other,) = received((abandoned(0), 0))
    cart = fold("c1", received((updated(), 3)))

    assert step(cart, other).status == "open"
