"""Memory: which orders a card, device, address or e-mail address had in the last 24 hours, and what customers spent."""

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


class Memory:
    """What one process knows. Adding the same order again changes nothing: its first time counts."""

    def __init__(self) -> None:
        self._orders: LRUCache[tuple[str, str], dict[str, datetime]] = LRUCache(_KEYS)
        self._spent: LRUCache[tuple[str, str], dict[str, int]] = LRUCache(_CUSTOMERS)

    def add(self, asked: FraudCheckRequested, at: datetime) -> None:
        """Remember an order that is to be judged."""
        for name in COUNTED:
            if value := getattr(asked, name):
                orders = self._orders.setdefault((name, value), {})
                orders[asked.order_id] = min(at, orders.get(asked.order_id, at))
                if len(orders) > _ORDERS:
                    del orders[min(orders, key=orders.__getitem__)]

    def count(self, asked: FraudCheckRequested, name: str, at: datetime, window: timedelta) -> int:
        """How many orders the same card (or device, ...) had within a window that ends with this one, itself too."""
        value = getattr(asked, name)
        orders = self._orders.get((name, value), {}) if value else {}
        until = orders.get(asked.order_id, at)
        return sum(until - window < one <= until for one in orders.values())

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
