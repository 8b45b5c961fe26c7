"""Loyalty: points for what a customer pays, taken back with it, and the tier of the last twelve months."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from mesh import Mesh, Money
from mesh.events.order import OrderCancelled, OrderConfirmed, OrderRefunded, OrderReturned
from mesh.publish import Draft
from mesh.runtime.run import running
from services import loyalty
from services.loyalty import AccountOf, LoyaltyAccount, LoyaltySettings, PointsChanged


def euros(amount):
    return Money(amount=amount, currency="EUR")


def confirmed(order_id="o1", amount=4299, customer_id="ada"):
    return OrderConfirmed(order_id=order_id, lines=(), total=euros(amount), customer_id=customer_id)


def cancelled(order_id="o1", *, left=0):
    return OrderCancelled(order_id=order_id, lines=(), amount=euros(0), left=(), total=euros(left), by="shop")


def returned(order_id="o1", *, total):
    return OrderReturned(order_id=order_id, lines=(), amount=euros(total), all_lines=(), total=euros(total))


def refunded(order_id="o1", *, total):
    return OrderRefunded(order_id=order_id, refunded=euros(total))


@pytest.fixture
async def shop(regions, memory_broker):
    """What publishes orders, while the service runs."""
    broker = regions.broker("us")
    async with running(loyalty.service, Mesh(broker, "loyalty", others=("eu",))):
        yield Mesh(memory_broker, "orders", others=("eu",))
    await broker.drain()


async def account(shop, customer_id="ada"):
    return await shop.ask("loyalty", "read-account", AccountOf(customer_id=customer_id), LoyaltyAccount)


async def changes(shop, customer_id="ada"):
    return [one.event.change for one in await shop.all_of(PointsChanged, customer_id)]


@pytest.fixture
def reaches(shop, eventually):
    """Wait until a customer has so many points."""

    async def wait(points, customer_id="ada"):
        async def there():
            return (await account(shop, customer_id)).points == points

        await eventually(there)

    return wait


async def test_points_are_earned_once_and_by_known_customers(shop, reaches):
    """An order that is confirmed again under another id earns nothing more, and a guest's earns nothing."""
    await shop.publish(confirmed(), confirmed("guest", customer_id=None))
    await reaches(42)
    await shop.publish(Draft(event=confirmed(), id="again"))
    await shop.publish(confirmed("o2", 100))
    await reaches(43)

    assert await changes(shop) == [42, 1]


async def test_what_is_cancelled_returned_and_refunded_is_taken_back_once(shop, reaches):
    """A refund that follows from a return or a cancellation takes nothing twice."""
    await shop.publish(confirmed(amount=10000))
    await reaches(100)
    await shop.publish(cancelled(left=8000), refunded(total=2000))
    await reaches(80)
    await shop.publish(returned(total=3000))
    await reaches(50)
    await shop.publish(refunded(total=5000))
    await shop.publish(refunded(total=6000))
    await reaches(40)

    await shop.publish(cancelled())
    await reaches(0)

    assert await changes(shop) == [100, -20, -30, -10, -40]
    assert (await shop.last(PointsChanged, "ada")).event.orders == ()


async def test_events_of_an_order_come_in_any_order(shop, reaches):
    """All permutations end with the same points."""
    runs = list(permutations((confirmed(amount=5000), returned(total=2000), refunded(total=2000))))
    for at, run in enumerate(runs):
        for one in run:
            fields = {name: getattr(one, name) for name in one.__struct_fields__} | {"order_id": f"p{at}"}
            await shop.publish(type(one)(**fields))

    await reaches(30 * len(runs))


async def test_orders_at_once_are_all_counted(shop, reaches):
    """Each is stored only if the account is still what it was, and counted again where it is not."""
    await asyncio.gather(*(shop.publish(confirmed(f"o{at}", 1000)) for at in range(30)))

    await reaches(300)
    assert (await account(shop)).tier == "silver"


async def test_points_of_more_than_twelve_months_ago_count_no_more(shop, reaches):
    """Neither for the tier nor at all, and an old order earns nothing when it is reported late."""
    now = datetime.now(UTC)
    await shop.publish(Draft(event=confirmed("old", 99900), id="old", time=now - timedelta(days=366)))
    await shop.publish(Draft(event=confirmed("recent", 99900), id="recent", time=now - timedelta(days=300)))
    await shop.publish(confirmed("new", 500))
    await reaches(1004)

    orders = (await shop.last(PointsChanged, "ada")).event.orders
    assert [(one.order_id, one.points) for one in orders] == [("recent", 999), ("new", 5)]
    assert await account(shop) == LoyaltyAccount(points=1004, tier="gold")


@pytest.mark.parametrize(("points", "tier"), [(0, "basic"), (299, "basic"), (300, "silver"), (999, "silver")])
def test_tiers_begin_where_the_settings_say(points, tier):
    """And gold after them."""
    assert loyalty.tier_of(points, LoyaltySettings()) == tier
    assert loyalty.tier_of(points, LoyaltySettings(loyalty_gold=points)) == "gold"


@pytest.mark.parametrize(("currency", "amount", "points"), [("EUR", 4299, 42), ("JPY", 4299, 4299), ("KWD", 4299, 4)])
def test_points_are_whole_units_of_any_currency(currency, amount, points):
    """A currency without decimals, or with three, is counted as its shoppers count it."""
    assert loyalty.points_of(Money(amount=amount, currency=currency)) == points
