"""Features: what is known of an order when it is judged, by name. What is unknown has none.

They are recorded with each decision, and models learn from what was recorded: nothing that happened later is in it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from mesh.events.fraud import FraudCheckRequested
from services.fraud.memory import COUNTED, Memory

WINDOWS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "24h": timedelta(hours=24)}
VELOCITIES = {f"{name}_{window}": (name, window) for name in COUNTED for window in WINDOWS}
"""Feature -> what is counted, and in which time before the order."""
DESCRIBED: dict[str, Callable[[float], str]] = {
    "amount": lambda value: f"an amount of {value:.2f}",
    "amount_ratio": lambda value: f"{value:.1f} times the customer's usual amount",
    "orders_before": lambda value: f"{value:.0f} orders of the customer before",
    "account_hours": lambda value: f"the account is {value:.1f} h old" if value < 48 else f"{value / 24:.0f} days old",
    "other_address": lambda value: "the bill goes to another address" if value else "bill and parcel: one address",
    "other_country": lambda value: "the bill goes to another country" if value else "bill and parcel: one country",
}


def features_of(asked: FraudCheckRequested, at: datetime, memory: Memory) -> dict[str, float]:
    """The features of an order that is judged at `at`; the same order has the same ones again.

    Velocities count orders, this one too. `amount` is in the currency's larger unit.
    """
    found: dict[str, float] = {}
    for feature, (name, window) in VELOCITIES.items():
        if getattr(asked, name):
            found[feature] = memory.count(asked, name, at, WINDOWS[window])
    orders, usual = memory.usual(asked)
    found["amount"] = float(asked.amount.decimal())
    found["orders_before"] = orders
    if usual and usual.amount:
        found["amount_ratio"] = round(asked.amount.amount / usual.amount, 4)
    if asked.account_created:
        age = max(at - asked.account_created, timedelta(0))
        found["account_hours"] = round(age / timedelta(hours=1), 3)
    if asked.billing_address and asked.address:
        found["other_address"] = asked.billing_address != asked.address
    if asked.billing_country and asked.delivery_country:
        found["other_country"] = asked.billing_country != asked.delivery_country
    return {name: float(value) for name, value in found.items()}


def described(name: str, features: Mapping[str, float]) -> str:
    """A feature of an order in words, such as `6 orders of one card in 1h`."""
    value = features.get(name)
    if name in VELOCITIES:
        what, window = VELOCITIES[name]
        return f"no {what} is known" if value is None else f"{value:.0f} orders of one {what} in {window}"
    if value is None:
        return f"{name.replace('_', ' ')} unknown"
    return DESCRIBED[name](value) if name in DESCRIBED else f"{name.replace('_', ' ')} {value:g}"
