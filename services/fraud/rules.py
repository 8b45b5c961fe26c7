"""Rules: each adds its weight to an order's score where it matches, and says why."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from mesh.errors import DeclarationError
from mesh.events.fraud import FraudCheckRequested, FraudModelScore, FraudRules
from mesh.settings import duration
from services.fraud.memory import COUNTED, LONGEST, Memory

_VELOCITY = re.compile(rf"({'|'.join(COUNTED)})/(\w+)>(\d+)=(\d+)").fullmatch


class FraudSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The rules (see `FraudRules`) that are in force until others are published in the console."""

    fraud_flag_at: int = 100
    fraud_velocity: tuple[str, ...] = (
        "card/1m>5=100",
        "card/1h>10=60",
        "card/24h>20=60",
        "device/1m>5=100",
        "device/1h>15=60",
        "device/24h>40=40",
        "address/1m>5=60",
        "address/1h>15=40",
        "address/24h>40=40",
        "email/1m>5=100",
        "email/1h>15=60",
        "email/24h>40=40",
    )
    fraud_amount_factor: float = 5
    fraud_amount_orders: int = 3
    fraud_amount_weight: int = 50
    fraud_account_age: timedelta = timedelta(days=1)
    fraud_account_weight: int = 30
    fraud_address_weight: int = 20
    fraud_country_weight: int = 50
    fraud_model_at: float = 0.9
    fraud_model_weight: int = 0


@dataclass(frozen=True, kw_only=True)
class Velocity:
    """More than `most` orders of one card (or device, ...) within `window` weigh `weight`."""

    name: str
    window: timedelta
    most: int
    weight: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Match:
    """A rule that matched: its name, weight, and what it saw."""

    rule: str
    weight: int
    reason: str


class Rules:
    """Rules with those that count read. Raises DeclarationError for one that says nothing."""

    def __init__(self, written: FraudRules) -> None:
        self.written = written
        self.velocity = tuple(_velocity(text) for text in written.velocity)


def rules_of(settings: FraudSettings) -> FraudRules:
    """The rules of the settings, as a document has them."""
    fields = {name.removeprefix("fraud_"): value for name, value in msgspec.structs.asdict(settings).items()}
    return FraudRules(account_hours=fields.pop("account_age") / timedelta(hours=1), **fields)


def score_of(matched: list[Match]) -> int:
    """What matches weigh together."""
    return sum(one.weight for one in matched)


def judge(
    asked: FraudCheckRequested, at: datetime, memory: Memory, rules: Rules, model: FraudModelScore | None = None
) -> list[Match]:
    """Every rule that matches an order; the same order is judged the same again. What is unknown matches no rule.

    `model` is what the model makes of the order: one rule among the others, with a weight of its own.
    """
    found = (
        *_velocities(asked, at, memory, rules),
        *_amounts(asked, memory, rules),
        *_persons(asked, at, rules),
        *_modelled(model, rules),
    )
    return [one for one in found if one.weight]


def _velocities(asked: FraudCheckRequested, at: datetime, memory: Memory, rules: Rules) -> Iterator[Match]:
    for rule in rules.velocity:
        count = memory.count(asked, rule.name, at, rule.window)
        if count > rule.most:
            window = rule.text.partition(">")[0].partition("/")[2]
            yield Match(rule=rule.text, weight=rule.weight, reason=f"{count} orders of one {rule.name} in {window}")


def _amounts(asked: FraudCheckRequested, memory: Memory, rules: Rules) -> Iterator[Match]:
    chosen = rules.written
    orders, usual = memory.usual(asked)
    if usual and orders >= chosen.amount_orders and asked.amount.amount > (chosen.amount_factor * usual.amount):
        reason = f"{asked.amount.decimal()} {asked.amount.currency}, usually {usual.decimal()}"
        yield Match(rule="amount", weight=chosen.amount_weight, reason=reason)


def _persons(asked: FraudCheckRequested, at: datetime, rules: Rules) -> Iterator[Match]:
    chosen = rules.written
    if asked.account_created and at - asked.account_created < timedelta(hours=chosen.account_hours):
        age = max(at - asked.account_created, timedelta(0)).total_seconds() / 3600
        yield Match(rule="account", weight=chosen.account_weight, reason=f"the account is {age:.1f} h old")
    if _differ(asked.billing_country, asked.delivery_country):
        reason = f"the bill goes to {asked.billing_country}, the parcel to {asked.delivery_country}"
        yield Match(rule="country", weight=chosen.country_weight, reason=reason)
    elif _differ(asked.billing_address, asked.address):
        reason = "the bill goes to another address than the parcel"
        yield Match(rule="address", weight=chosen.address_weight, reason=reason)


def _modelled(model: FraudModelScore | None, rules: Rules) -> Iterator[Match]:
    if model is not None and model.probability >= rules.written.model_at:
        drivers = f": {', '.join(model.drivers)}" if model.drivers else ""
        reason = f"fraud with a probability of {model.probability:.0%} by the model{drivers}"
        yield Match(rule="model", weight=rules.written.model_weight, reason=reason)


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _velocity(text: str) -> Velocity:
    found = _VELOCITY(text)
    try:
        window = duration(found[2]) if found else timedelta(0)
    except ValueError as error:
        raise DeclarationError(f"velocity rule {text!r}: {error}") from None
    if not found or not timedelta(0) < window <= LONGEST:
        raise DeclarationError(f"velocity rule {text!r}: write card/1h>10=60, of {', '.join(COUNTED)}, 24h at most")
    return Velocity(name=found[1], window=window, most=int(found[3]), weight=int(found[4]), text=text)
