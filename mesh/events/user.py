"""What the models think of a shopper right now."""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.event import Event, event
from mesh.money import Money
from mesh.vocabulary import Token


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason behind a score as a sentence, with its weight in log-odds (positive: more likely)."""

    text: str
    weight: float


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A product for this shopper and why; what it is called and costs where that is known.

    `reason` is in English. For other languages: `kind` (`together`, `next`, `seen`: the shopper looked at it
    before, `category`, `popular`; more may come), the name of the product that it goes with, and by how many
    `shoppers` the two were seen together.
    """

    product_id: str
    reason: str
    kind: Token | None = None
    with_product: str | None = None
    shoppers: int | None = None
    price: Money | None = None
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    image: str | None = None
    url: str | None = None


class RecommendationsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What may a visitor like now? Asked of scoring. `after` is the id of an event that the answer must know."""

    visitor_id: str
    most: int = 4
    after: str | None = None


class Recommendations(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: products, best first, none while nothing is known of any.

    `model_version` is the version of the recommendations that chose them; None while no model of them serves.
    """

    products: tuple[Recommendation, ...]
    model_version: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a score was computed from, so that it can be computed again from the log.

    `values` are the features at `at`, in the order whose digest is `features_digest`; `steps` is how many of the
    visitor's steps were known by then.
    """

    at: datetime
    steps: int
    features_digest: str
    values: tuple[float, ...]


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What an offer at this discount (whole percent, 0: a reminder) would do: probability of a purchase, 0..1."""

    discount_percent: int
    purchase: float


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an offer would change anything for this cart, as far as randomised offers have shown.

    `unaided` is the probability of a purchase without one. `decision` says whether choosing recipients
    helps (`target`) or everyone is alike (`all`, `none`): then the figures are averages. `explanation` is for people.
    """

    version: str
    decision: Literal["target", "all", "none"]
    explanation: str
    unaided: float
    arms: tuple[Arm, ...]


@event(key="visitor_id")
class UserScored(Event):
    """A shopper's propensity to buy was computed from what they have done so far.

    `propensity` is a probability in 0..1; `last_event_id` is the id of the newest event that it was computed from.
    `model_version` is `base-rate` while no model is registered.
    """

    visitor_id: str
    propensity: float
    model_version: str
    reasons: tuple[Reason, ...]
    last_event_id: str
    evidence: Evidence | None = None
