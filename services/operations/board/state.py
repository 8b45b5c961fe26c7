"""State: what the board shows, as it goes to browsers and scripts."""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.events.mesh import ConsumerLag
from mesh.events.offer import Check
from mesh.money import Money
from mesh.operations.service_states import ServiceShown

OfferEventKind = Literal["sent", "shown", "failed", "withdrawn", "deferred", "recovered"]
StageName = Literal["viewed", "carted", "left", "offered", "recovered"]


class RegionShown(msgspec.Struct, frozen=True, kw_only=True):
    """A region. `measured_ago` is the age in seconds of its newest measurement; None: there was none yet.

    `rates` are events/s by domain; `dead_letters` is how many are stored there.
    """

    name: str
    time_zone: str
    measured_ago: float | None
    nodes: int
    nodes_up: int
    rates: dict[str, float]
    consumers: tuple[ConsumerLag, ...]
    dead_letters: int


class LinkShown(msgspec.Struct, frozen=True, kw_only=True, rename={"reader": "from", "reported": "to"}):
    """The age in seconds of the latest report of the region `reported` in the region `reader`; None: not known here."""

    reader: str
    reported: str
    staleness: float | None


class StageShown(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the funnel: how many reached it in the last hour in all regions, and the money they stand for."""

    stage: StageName
    count: int
    money: tuple[Money, ...]


class RecommendedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A recommended product and why."""

    name: str
    reason: str


class OfferEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an offer after its decision: of each kind and channel the newest."""

    kind: OfferEventKind
    at: datetime
    channel: str | None
    detail: str


class OfferShown(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as it was last decided. With `is_base_rate` the propensity is an average: no model scored the cart."""

    id: str
    at: datetime
    region: str
    cart_id: str
    outcome: Literal["approved", "held", "dropped"]
    reason: str
    journey: str
    discount_percent: int
    propensity: float | None
    is_base_rate: bool
    channels: tuple[str, ...]
    total: Money | None
    held_until: datetime | None
    checks: tuple[Check, ...]
    lines: tuple[str, ...]
    recommended: tuple[RecommendedProduct, ...]
    events: tuple[OfferEvent, ...]


class DeadLetterShown(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter without its payload: `number` is what `cartmesh dead show` takes, `id` the event's own."""

    at: datetime
    region: str
    service: str
    handler: str
    type: str
    id: str
    number: int
    reason: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment. `unknown`: sentences about what cannot be seen just now; `missing`: what does not run.

    `simulated` are the views of the last hour that a demo made up: the funnel does not count them.
    """

    at: datetime
    region: str
    regions: tuple[RegionShown, ...]
    links: tuple[LinkShown, ...]
    services: tuple[ServiceShown, ...]
    funnel: tuple[StageShown, ...]
    simulated: int
    offers: tuple[OfferShown, ...]
    dead_letters: tuple[DeadLetterShown, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """The newest minutes, for charts: per region and domain events/s, and messages pending, at `at` (epoch seconds)."""

    step: float
    at: tuple[int, ...]
    rates: dict[str, dict[str, tuple[float | None, ...]]]
    pending: dict[str, tuple[int | None, ...]]
