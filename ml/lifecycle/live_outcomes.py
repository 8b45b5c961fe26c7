"""Live outcomes: what became of carts that were scored, read from the log, and how two models did on the same ones."""

from bisect import bisect_right
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from mesh import Mesh
from mesh.envelope import Received
from mesh.events.cart import CartConverted, CartScored
from mesh.events.model import ModelShadowed
from mesh.events.offer import OfferSent
from mesh.events.order import OrderPlaced
from mesh.events.user import Evidence
from ml.clickstream.erased import read_erased
from ml.clickstream.orders import read_orders
from ml.lifecycle.version import Metrics

DAY, RECENT = timedelta(days=1), timedelta(days=30)


class Scored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A cart's score: by which version, and the moment that it speaks of (`at`, seconds since 1970 UTC)."""

    cart_id: str
    visitor_id: str
    version: str
    propensity: float
    at: float


@dataclass(kw_only=True)
class Log:
    """What the log holds of scored carts: scores by abandonment, purchases by visitor and cart, carts with an offer.

    `proofs` are the evidence of the newest day's scores with the time they were made, oldest first.
    """

    scores: dict[str, Scored] = field(default_factory=dict)
    proofs: deque[tuple[datetime, Evidence]] = field(default_factory=deque)
    shadows: list[ModelShadowed] = field(default_factory=list)
    bought: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    converted: dict[str, float] = field(default_factory=dict)
    offered: set[str] = field(default_factory=set)
    until: float = 0.0

    def outcome(self, scored: Scored, horizon: float) -> bool | None:
        """Whether the shopper bought within `horizon` seconds; None while that is not over."""
        last = scored.at + horizon
        converted = self.converted.get(scored.cart_id)
        if converted is not None and scored.at < converted <= last:
            return True
        times = self.bought.get(scored.visitor_id, [])
        following = bisect_right(times, scored.at)
        if following < len(times) and times[following] <= last:
            return True
        return False if self.until >= last else None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two models on the same live carts.

    `scored` carts were scored by both, of which `known` have an outcome; metrics over all of those, and over
    the carts that were sent no offer (`unaided`). None where there are none.
    """

    model: str
    champion: str
    candidate: str
    stage: str
    scored: int
    known: int
    champion_metrics: Metrics | None = None
    candidate_metrics: Metrics | None = None
    champion_unaided: Metrics | None = None
    candidate_unaided: Metrics | None = None


async def read(mesh: Mesh) -> Log:
    """Everything that a region's log holds of scored carts, except of visitors before they were erased.

    Bought is what counts as that (`ml.clickstream.orders`); where the shop confirms orders, outcomes are known until
    its confirmations end.
    """
    log = Log()
    orders, erased = await read_orders(mesh), await read_erased(mesh)
    limit = orders.known_until()
    ordered: set[tuple[str, str]] = set()
    async for received in mesh.read(CartScored, CartConverted, OrderPlaced, ModelShadowed, OfferSent):
        happened = received.event
        if erased.covers(happened.visitor_id, received.time.timestamp()):
            continue
        if isinstance(happened, OrderPlaced | CartConverted):
            if limit is not None and received.time > limit:
                continue
            cart = happened.cart_id if isinstance(happened, CartConverted) else None
            if not orders.counts(happened.visitor_id, happened.order_id, cart_id=cart):
                continue
        if isinstance(happened, OrderPlaced):
            # The page and the shop's server may both report an order: it was placed when it was reported first.
            order = (happened.visitor_id, happened.order_id)
            if order in ordered:
                continue
            ordered.add(order)
        _take(log, received)
    if limit is not None:
        log.until = min(log.until, limit.timestamp())
    for times in log.bought.values():
        times.sort()
    return log


def _take(log: Log, received: Received) -> None:
    at = received.time.timestamp()
    match received.event:
        case CartScored() as scored:
            at = scored.evidence.at.timestamp() if scored.evidence else at
            log.scores[scored.abandonment_id] = Scored(
                cart_id=scored.cart_id,
                visitor_id=scored.visitor_id,
                version=scored.model_version,
                propensity=scored.propensity,
                at=at,
            )
            if scored.evidence is not None:
                log.proofs.append((received.time, scored.evidence))
                while log.proofs[0][0] <= received.time - DAY:
                    log.proofs.popleft()
        case OrderPlaced(visitor_id=visitor):
            log.bought[visitor].append(at)
        case CartConverted(cart_id=cart):
            log.converted.setdefault(cart, at)
        case OfferSent(cart_id=cart):
            log.offered.add(cart)
        case ModelShadowed() as shadowed:
            log.shadows.append(shadowed)
    log.until = max(log.until, at)


def compare(log: Log, *, model: str, champion: str, candidate: str, stage: str, horizon: float) -> Comparison:
    """How two versions did on the carts that both scored; `horizon` in seconds."""
    rows = []
    both = [one for one in log.shadows if (one.model, one.champion, one.candidate) == (model, champion, candidate)]
    for shadowed in both:
        scored = log.scores.get(shadowed.abandonment_id)
        outcome = log.outcome(scored, horizon) if scored else None
        if outcome is not None:
            aided = shadowed.cart_id in log.offered
            rows.append((outcome, shadowed.champion_probability, shadowed.candidate_probability, aided))
    unaided = [row for row in rows if not row[3]]
    return Comparison(
        model=model,
        champion=champion,
        candidate=candidate,
        stage=stage,
        scored=len(both),
        known=len(rows),
        champion_metrics=_measured(rows, 1),
        candidate_metrics=_measured(rows, 2),
        champion_unaided=_measured(unaided, 1),
        candidate_unaided=_measured(unaided, 2),
    )


def live_calibration(log: Log, *, version: str, horizon: float, span: timedelta = RECENT) -> Metrics | None:
    """How a version's scores of the newest `span` came true, on carts that were sent no offer; None without any."""
    rows, since = [], log.until - span.total_seconds()
    for scored in log.scores.values():
        if scored.version == version and scored.cart_id not in log.offered and scored.at >= since:
            outcome = log.outcome(scored, horizon)
            if outcome is not None:
                rows.append((outcome, scored.propensity))
    return _measured(rows, 1)


def _measured(rows: list[tuple], column: int) -> Metrics | None:
    import numpy as np  # noqa: PLC0415  saves start-up time

    from ml.training.metrics import measure  # noqa: PLC0415  saves start-up time

    return measure(
        np.array([row[0] for row in rows], dtype=np.float64), np.array([row[column] for row in rows], dtype=np.float64)
    )
