"""Checks for fraud: asked for by the checkout; a payment that looks like fraud is `payment.flagged`."""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.event import Event, event
from mesh.money import Money


@event(key="order_id")
class FraudCheckRequested(Event):
    """An order is to be judged before it is charged. Persons and addresses are named by digests only.

    `card` is the provider's fingerprint or token of the card, `device` the browser, `address` and `billing_address`
    digests of where the parcel and the bill go, `email` one of the e-mail address. Countries are ISO 3166 codes. What
    is unknown is None.
    """

    order_id: str
    amount: Money
    customer_id: str | None = None
    visitor_id: str | None = None
    card: str | None = None
    device: str | None = None
    address: str | None = None
    email: str | None = None
    account_created: datetime | None = None
    billing_country: str | None = None
    delivery_country: str | None = None
    billing_address: str | None = None


class FraudModelScore(msgspec.Struct, frozen=True, kw_only=True):
    """How likely an order is fraud (0..1) by a version of the model, and the features that say so, strongest first."""

    version: str
    probability: float
    drivers: tuple[str, ...] = ()


@event(key="order_id")
class FraudCleared(Event):
    """An order was judged, and too little speaks against it. `answers` is the id of the check's request.

    `features` is what was known of the order then, by name. `model` is the score of the model that serves, and
    `candidate` that of the version that is tried beside it.
    """

    order_id: str
    score: int
    answers: str
    rules: tuple[str, ...] = ()
    features: dict[str, float] = msgspec.field(default_factory=dict)
    model: FraudModelScore | None = None
    candidate: FraudModelScore | None = None


class FraudRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of a fraud check. An order whose weights come to `flag_at` is flagged; a weight of 0 turns a rule off.

    Each of `velocity` reads `card/1h>10=60`: more than ten orders of one card within an hour weigh 60; `card`,
    `device`, `address` and `email` are counted, for 24 h at most. `amount_factor` times what the customer's last orders
    cost on average, where there are `amount_orders` of them, weighs `amount_weight`. An account younger than
    `account_hours` weighs `account_weight`; a bill that goes to another address than the parcel `address_weight`, one
    that goes to another country `country_weight`. An order that the model finds fraud with a probability of `model_at`
    or more weighs `model_weight`.
    """

    flag_at: int
    velocity: tuple[str, ...]
    amount_factor: float
    amount_orders: int
    amount_weight: int
    account_hours: float
    account_weight: int
    address_weight: int
    country_weight: int
    model_at: float = 0.9
    model_weight: int = 0


RuleSet = Literal["live", "shadow"]
"""`live` rules decide; `shadow` rules judge the same orders, and what they find changes nothing."""


@event(key="name")
class FraudRulesPublished(Event):
    """A revision of fraud rules is in force; `rules` None: there are no shadow rules any more.

    `author` is an account's id. Of two revisions with one number the later one is in force, in every region.
    """

    name: RuleSet
    revision: int
    author: str
    rules: FraudRules | None = None
    note: str = ""


@event(key="order_id")
class FraudShadowJudged(Event):
    """What the shadow rules of a `revision` found of an order: whether they would have `flagged` it, and by what.

    `live_flagged` is what the rules in force decided. `answers` is the id of the check's request.
    """

    order_id: str
    revision: int
    score: int
    flagged: bool
    live_flagged: bool
    answers: str
    rules: tuple[str, ...] = ()


@event(key="order_id")
class FraudLabelled(Event):
    """What an order turned out to be, as somebody decided in a review, or as a chargeback shows; the newest counts."""

    order_id: str
    label: Literal["fraud", "legitimate"]
    source: Literal["review", "chargeback"]
    author: str
