"""Shoppers: where else they were seen, whatever order things are heard in."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from mesh import Received
from mesh.events.cart import CartUpdated
from mesh.events.order import OrderPlaced, shoppers
from mesh.money import Money
from notifications.shopper_regions import RecentWrites, ShopperRegions, fold

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def heard(event, region="eu", at=NOW):
    return Received(event=event, id="i", time=at, stored=at, region=region, sequence=1, subject="s", traceparent=None)


def cart(visitor="v", customer=None):
    return CartUpdated(cart_id="c", visitor_id=visitor, customer_id=customer, lines=())


def test_a_shopper_is_known_by_device_and_by_customer():
    """So that it counts on the customer's other devices."""
    found = fold([heard(cart(customer="k"))], home="us", recent=RecentWrites())

    assert set(found) == set(shoppers("v", "k"))
    assert {tuple(shopper.regions) for shopper in found.values()} == {("eu",)}


def test_an_order_elsewhere_is_a_sighting_too():
    """Whoever buys in a region was there."""
    order = OrderPlaced(order_id="o1", visitor_id="v", lines=(), total=Money(amount=1, currency="EUR"))

    (shopper,) = fold([heard(order)], home="us", recent=RecentWrites()).values()

    assert shopper.regions == {"eu": NOW}


def test_merging_does_not_depend_on_the_order_of_hearing():
    """The newest sighting of each region wins in every permutation."""
    events = [heard(cart(), region=("eu", "ap")[at % 2], at=NOW + timedelta(seconds=at)) for at in range(4)]

    for some in permutations(events):
        merged = ShopperRegions()
        for one in some:
            (found,) = fold([one], home="us", recent=RecentWrites()).values()
            merged = merged.merged(found)
        assert merged.regions == {"eu": NOW + timedelta(seconds=2), "ap": NOW + timedelta(seconds=3)}


def test_own_carts_are_no_news_and_others_only_once_an_hour():
    """The projection costs a write per shopper and region, not per click."""
    recent = RecentWrites()
    (key,) = shoppers("v", None)

    assert fold([heard(cart(), region="us")], home="us", recent=recent) == {}
    assert fold([heard(cart())], home="us", recent=recent)[key].regions == {"eu": NOW}
    recent.note(key, "eu", NOW)
    assert fold([heard(cart(), at=NOW + timedelta(minutes=5))], home="us", recent=recent) == {}
    assert fold([heard(cart(), at=NOW + timedelta(hours=2))], home="us", recent=recent)[key].regions
