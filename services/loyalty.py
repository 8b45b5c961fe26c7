"""Gives customers points for what they pay, and takes them back for what is cancelled, returned or refunded."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mesh import Event, History, Mesh, Money, Received, Retry, Service, Unchanged, event, settings
from mesh.events.order import OrderCancelled, OrderConfirmed, OrderRefunded, OrderReturned
from mesh.publish import Change


class OrderPoints(msgspec.Struct, frozen=True, kw_only=True):
    """The points that an order counts, and when it was confirmed."""

    order_id: str
    points: int
    at: datetime


@event(key="customer_id")
class PointsChanged(Event):
    """A customer earned points with an order, or lost some because it was cancelled, returned or refunded.

    `change` is by how many its points changed, `orders` are those of the last twelve months that count any, oldest
    first, `points` is their sum and `tier` what it comes to: the newest event of a customer is their account.
    """

    customer_id: str
    order_id: str
    change: int
    points: int
    tier: str
    orders: tuple[OrderPoints, ...] = ()


class LoyaltySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many points of the last twelve months make a customer silver or gold."""

    loyalty_silver: int = 300
    loyalty_gold: int = 1000


class AccountOf(msgspec.Struct, frozen=True, kw_only=True):
    """The question for a customer's points."""

    customer_id: str


class LoyaltyAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The points that a customer has in this region now, and the tier that they come to."""

    points: int
    tier: str


service = Service("loyalty", publishes=(PointsChanged,))

KINDS = (OrderConfirmed, OrderCancelled, OrderReturned, OrderRefunded)
COUNTS_FOR = timedelta(days=365)
MOST_ORDERS = 1000
"""The newest of a customer that count: an event has a size, and who orders so often is no shopper."""
STALE_READ = timedelta(milliseconds=200)
"""When to read again after a follower answered that has not applied what was just consumed."""


@service.resource
async def read_tiers() -> AsyncIterator[LoyaltySettings]:
    """The tiers of the settings."""
    yield settings.read(LoyaltySettings)


@service.on(*KINDS)
async def count_points(received: Received, mesh: Mesh, tiers: LoyaltySettings) -> AsyncIterator[Change]:
    """Count the points of an order by what it costs now; an order that counts them already changes nothing."""
    order_id = received.event.order_id
    history = await mesh.history(order_id, *KINDS)
    if all(one.sequence < received.sequence for one in history):
        raise Retry("the order cannot be read yet", after=STALE_READ)
    confirmed = history.last(OrderConfirmed)
    if confirmed is None or confirmed.event.customer_id is None:
        return  # nothing is earned yet, or nobody is known to earn it
    customer_id = confirmed.event.customer_id
    account = await mesh.last(PointsChanged, customer_id)
    before = {one.order_id: one for one in account.event.orders} if account else {}
    now = OrderPoints(order_id=order_id, points=points_of(paid(history)), at=confirmed.time)
    change = now.points - (before[order_id].points if order_id in before else 0)
    if not change or not _counts(now, received.stored):
        return
    orders = _counting((before | {order_id: now}).values(), received.stored)
    points = sum(one.points for one in orders)
    yield PointsChanged(
        customer_id=customer_id,
        order_id=order_id,
        change=change,
        points=points,
        tier=tier_of(points, tiers),
        orders=orders,
    )
    yield Unchanged(PointsChanged, customer_id, account.sequence if account else 0)


@service.answers
async def read_account(asked: AccountOf, mesh: Mesh, tiers: LoyaltySettings) -> LoyaltyAccount:
    """The points of a customer; those of orders that are older than twelve months count no more."""
    account = await mesh.last(PointsChanged, asked.customer_id)
    orders = _counting(account.event.orders, datetime.now(UTC)) if account else ()
    points = sum(one.points for one in orders)
    return LoyaltyAccount(points=points, tier=tier_of(points, tiers))


def paid(history: History) -> Money:
    """What a confirmed order costs its buyer now: less what was cancelled and returned, and less what was paid back.

    A refund follows from a cancellation or a return, or stands alone: the lower of both accounts counts, never their
    sum. Each event carries all that happened of its kind, so the order in which they came makes no difference.
    """
    ordered: Money = _newest(history, OrderConfirmed, "total")
    left: Money = _newest(history, OrderCancelled, "total") or ordered
    returned: Money | None = _newest(history, OrderReturned, "total")
    refunded: Money | None = _newest(history, OrderRefunded, "refunded")
    kept = left.amount - (returned.amount if returned else 0)
    not_paid_back = ordered.amount - (refunded.amount if refunded else 0)
    return Money(amount=max(0, min(kept, not_paid_back)), currency=ordered.currency)


def points_of(amount: Money) -> int:
    """One point for every whole unit of the currency: 42 for 42.99 EUR."""
    return int(amount.decimal())


def tier_of(points: int, tiers: LoyaltySettings) -> str:
    """The tier that so many points of the last twelve months come to."""
    if points >= tiers.loyalty_gold:
        return "gold"
    return "silver" if points >= tiers.loyalty_silver else "basic"


def _newest(history: History, kind: type[Event], field: str) -> Any:
    last = history.last(kind)
    return getattr(last.event, field) if last else None


def _counting(orders: Iterable[OrderPoints], now: datetime) -> tuple[OrderPoints, ...]:
    """The orders that count points at a time, oldest first."""
    counting = (one for one in orders if one.points and _counts(one, now))
    return tuple(sorted(counting, key=lambda one: (one.at, one.order_id))[-MOST_ORDERS:])


def _counts(order: OrderPoints, now: datetime) -> bool:
    return order.at > now - COUNTS_FOR
