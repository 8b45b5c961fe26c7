"""What is left of a cart's lines after its shopper's purchases on other devices."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh import History, Money, Received
from mesh.bought_lines import bought_lines, unbought_lines
from mesh.events.cart import CartConverted, CartLine, CartUpdated
from mesh.events.order import PurchaseMarked

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PRICE = Money(amount=1299, currency="EUR")


def at(minute, event, *, region="us"):
    time = NOW + timedelta(minutes=minute)
    return Received(event=event, id=f"e{minute}", time=time, stored=time, region=region, sequence=minute, subject="")


def line(product_id, quantity):
    return CartLine(product_id=product_id, quantity=quantity, price=PRICE)


def listed(minute, **quantities):
    lines = tuple(line(product_id, quantity) for product_id, quantity in quantities.items())
    return at(minute, CartUpdated(cart_id="c1", visitor_id="laptop", lines=lines))


def bought(minute, order_id="o1", *, shopper="ada", region="us", **quantities):
    return at(minute, PurchaseMarked(shopper=shopper, order_id=order_id, bought=quantities), region=region)


def left(*happened):
    """Pieces of each product that are left of the newest update."""
    updates = tuple(one for one in happened if not isinstance(one.event, PurchaseMarked))
    marks = [one for one in happened if isinstance(one.event, PurchaseMarked)]
    found = bought_lines(History("c1", updates), marks)
    newest = [one for one in updates if isinstance(one.event, CartUpdated)][-1]
    return {one.product_id: one.quantity for one in unbought_lines(newest.event.lines, found)}


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        ((listed(1, p1=3), bought(2, p1=1), listed(3, p1=3)), {"p1": 2}),
        ((listed(1, p1=3), bought(2, p1=3), listed(3, p1=3, p2=1)), {"p2": 1}),
        ((listed(1, p1=3), bought(2, p1=5), listed(3, p1=3, p2=1)), {"p2": 1}),
        ((listed(1, p1=3), bought(2, p2=1), listed(3, p1=3)), {"p1": 3}),
        ((bought(1, p1=1), listed(2, p1=3)), {"p1": 3}),
    ],
    ids=["one of three", "all", "more than there were", "another product", "before it was added"],
)
def test_what_is_left_is_what_was_not_bought(happened, expected):
    """An order elsewhere takes as many pieces as it has, of those that were in the cart before it."""
    assert left(*happened) == expected


def test_several_orders_take_one_after_the_other():
    """Two devices buy one each; the third is left."""
    assert left(listed(1, p1=3), bought(2, "o1", p1=1), bought(3, "o2", p1=1), listed(4, p1=3)) == {"p1": 1}


def test_an_order_takes_its_pieces_once():
    """It is marked under each name of its shopper, when a page reports it and when the shop's server confirms it."""
    marks = [bought(minute, shopper=name, p1=1) for minute, name in ((2, "device"), (3, "customer"), (4, "device"))]

    assert left(listed(1, p1=3), *marks, listed(5, p1=3)) == {"p1": 2}


def test_pieces_that_are_added_after_a_purchase_are_left():
    """The cart still lists what was bought, and one more."""
    assert left(listed(1, p1=1), bought(2, p1=1), listed(3, p1=2)) == {"p1": 1}
    assert left(listed(1, p1=1), bought(2, p1=3), listed(3, p1=2)) == {"p1": 1}


def test_a_smaller_number_counts_where_it_cannot_be_known():
    """A page lists one less after the purchase of one: whether it knows of the purchase, nobody can say."""
    assert left(listed(1, p1=3), bought(2, p1=1), listed(3, p1=2)) == {"p1": 1}


def test_lines_that_come_back_within_a_day_are_repeated():
    """A stale tab lists again what the shop had emptied; a day later the shopper wants it again."""
    emptied, day = listed(3), 24 * 60

    assert left(listed(1, p1=3), bought(2, p1=1), emptied, listed(4, p1=3)) == {"p1": 2}
    assert left(listed(1, p1=3), bought(2, p1=1), emptied, listed(day + 3, p1=3)) == {"p1": 3}


def test_an_order_without_known_lines_bought_all_that_was_there():
    """A refused order and a conversion say that their shopper bought, and not what."""
    converted = at(2, CartConverted(cart_id="c1", order_id="o9", visitor_id="laptop"))

    assert left(listed(1, p1=3), bought(2), listed(3, p1=3, p2=1)) == {"p2": 1}
    assert left(listed(1, p1=3), converted, listed(3, p1=3, p2=1)) == {"p2": 1}


def test_a_purchase_in_another_region_counts_by_its_time():
    """Places in the streams of two regions cannot be compared."""
    assert left(listed(5, p1=3), bought(9, region="eu", p1=1), listed(10, p1=3)) == {"p1": 2}
    assert left(bought(4, region="eu", p1=1), listed(5, p1=3)) == {"p1": 3}


def test_lines_of_one_product_share_what_is_left_of_it():
    """A product may stand in several lines, as a gift and for oneself."""
    lines = (line("p1", 2), line("p1", 2))
    first, second = (at(minute, CartUpdated(cart_id="c1", visitor_id="laptop", lines=lines)) for minute in (1, 3))

    found = bought_lines(History("c1", (first, second)), [bought(2, p1=1)])

    assert [one.quantity for one in unbought_lines(lines, found)] == [2, 1]


def test_what_was_decided_is_not_reduced_twice():
    """An offer of two of three pieces, decided after the purchase of one, is of two when it is delivered."""
    found = bought_lines(History("c1", (listed(1, p1=3), listed(3, p1=3))), [bought(2, p1=1)])

    assert unbought_lines((line("p1", 2),), found) == (line("p1", 2),)
