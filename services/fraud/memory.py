"""Memory: which orders a card, device, address or e-mail address had in the last 24 hours, and what customers spent."""

from bisect import bisect_left, insort
from datetime import datetime, timedelta

from cachetools import LRUCache

from mesh import Money
from mesh.events.fraud import FraudCheckRequested
from mesh.events.order import OrderConfirmed

COUNTED = ("card", "device", "address", "email")
"""The fields of a check whose orders are counted."""
LONGEST = timedelta(hours=24)
_KEYS, _ORDERS, _CUSTOMERS = 200_000, 1_000, 200_000
"""The most values, orders of one value, and customers that are remembered; the least used is forgotten first."""
_LAST = "\U0010ffff"
"""Sorts behind every order's id."""


class _Orders:
    """The orders of one card (or device, ...), by the time of their first check."""

    __slots__ = ("_first", "_sorted")

    def __init__(self) -> None:
        self._first: dict[str, datetime] = {}
        self._sorted: list[tuple[datetime, str]] = []

    def add(self, order_id: str, at: datetime) -> None:
        known = self._first.get(order_id)
        if known is not None and known <= at:
            return
        if known is not None:
            del self._sorted[bisect_left(self._sorted, (known, order_id))]
        self._first[order_id] = at
        insort(self._sorted, (at, order_id))
        if len(self._sorted) > _ORDERS:
            _, oldest = self._sorted.pop(0)
            del self._first[oldest]

    def count(self, order_id: str, at: datetime, window: timedelta) -> int:
        until = self._first.get(order_id, at)
        return bisect_left(self._sorted, (until, _LAST)) - bisect_left(self._sorted, (until - window, _LAST))


class Memory:
    """What one process knows. Adding the same order again changes nothing: its first time counts."""

    def __init__(self) -> None:
        self._orders: LRUCache[tuple[str, str], _Orders] = LRUCache(_KEYS)
        self._spent: LRUCache[tuple[str, str], dict[str, int]] = LRUCache(_CUSTOMERS)

    def add(self, asked: FraudCheckRequested, at: datetime) -> None:
        """Remember an order that is to be judged."""
        for name in COUNTED:
            if value := getattr(asked, name):
                orders = self._orders.get((name, value))
                if orders is None:
                    orders = self._orders[name, value] = _Orders()
                orders.add(asked.order_id, at)

    def count(self, asked: FraudCheckRequested, name: str, at: datetime, window: timedelta) -> int:
        """How many orders the same card (or device, ...) had within a window that ends with this one, itself too."""
        value = getattr(asked, name)
        orders = self._orders.get((name, value)) if value else None
        return orders.count(asked.order_id, at, window) if orders else 0

    def spent(self, confirmed: OrderConfirmed) -> None:
        """Remember a confirmed order of a customer."""
        if confirmed.customer_id:
            key = (confirmed.customer_id, confirmed.total.currency)
            orders = self._spent.setdefault(key, {})
            orders[confirmed.order_id] = confirmed.total.amount
            if len(orders) > _ORDERS:
                del orders[next(iter(orders))]

    def usual(self, asked: FraudCheckRequested) -> tuple[int, Money | None]:
        """How many other orders the customer has in this currency, and what they cost on average; None for none."""
        orders = self._spent.get((asked.customer_id or "", asked.amount.currency), {})
        others = [amount for order_id, amount in orders.items() if order_id != asked.order_id]
        if not others:
            return 0, None
        return len(others), Money(amount=sum(others) // len(others), currency=asked.amount.currency)
