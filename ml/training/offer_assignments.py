"""Assignments: what chance gave each left cart, what was known of it at that moment, and whether its shopper bought."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zlib import crc32

import polars as pl

from mesh import Mesh, Received
from mesh.events.cart import CartScored
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderPlaced
from mesh.events.user import Evidence
from mesh.lake.reading import read_history
from ml.clickstream.erased import read_erased
from ml.clickstream.orders import read_orders

MOST_EVENTS = 300_000
"""Scores, decisions and orders that are held at once; of more whole visitors are left out, by hash."""
COLUMNS = {
    "visitor": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "arm": pl.String,
    "probability": pl.Float64,
    "withheld": pl.Float64,
    "features_digest": pl.String,
    "values": pl.List(pl.Float64),
    "waited": pl.Float64,
    "observed": pl.Float64,
}


@dataclass(frozen=True)
class _Visitor:
    """What the log holds of one visitor: scores by abandonment, decisions by abandonment and journey, orders."""

    evidence: dict[str, Evidence] = field(default_factory=dict)
    decided: dict[tuple[str, str], tuple[datetime, OfferDecided]] = field(default_factory=dict)
    orders: dict[str, datetime] = field(default_factory=dict)
    """When each order was reported first: the page and the shop's server may both report it."""

    def learn(self, received: Received) -> None:
        happened = received.event
        if isinstance(happened, OrderPlaced):
            self.orders[happened.order_id] = min(self.orders.get(happened.order_id, received.time), received.time)
        elif isinstance(happened, OfferDecided):
            if happened.assignment is not None and happened.assignment.eligible:
                self.decided[happened.abandonment_id, happened.journey] = (received.time, happened)
        elif happened.evidence is not None:
            self.evidence[happened.abandonment_id] = happened.evidence

    def rows(self, end: datetime) -> Iterator[tuple]:
        """The rows of this visitor in a log that ends at `end`."""
        orders = sorted(self.orders.values())
        for (abandonment, _), (at, offer) in self.decided.items():
            known, given = self.evidence.get(abandonment), offer.assignment
            if known is None or given is None:
                continue
            following = bisect_right(orders, at)
            waited = (orders[following] - at).total_seconds() if following < len(orders) else None
            yield (
                offer.visitor_id,
                at,
                given.arm,
                given.probability,
                given.withheld,
                known.features_digest,
                list(known.values),
                waited,
                (end - at).total_seconds(),
            )


async def training_rows(mesh: Mesh, *, most: int = MOST_EVENTS) -> pl.DataFrame:
    """One row per decided, eligible and scored cart of this region's log, in time order, as `COLUMNS`.

    `arm` is `none` or the discount in percent, `probability` what it was given with, `withheld` that of `none`;
    `values` the features that were served for it, in the order whose digest is `names`; `waited` the seconds
    until the visitor's next order, null while there is none; `observed` the seconds until the log ends, or where the
    shop confirms orders, until its confirmations do. Orders that do not count (`ml.clickstream.orders`) are none, and
    what became of visitors before they were erased is left out.
    """
    orders, erased = await read_orders(mesh), await read_erased(mesh)
    limit = orders.known_until()
    visitors: dict[str, _Visitor] = defaultdict(_Visitor)
    kept, shares = 0, 1
    end: datetime | None = None
    async for received in read_history(mesh, CartScored, OfferDecided, OrderPlaced):
        if limit is not None and received.time > limit:
            continue
        end = max(end or received.time, received.time)
        visitor, happened = received.event.visitor_id, received.event
        if _class(visitor, shares) or erased.covers(visitor, received.time.timestamp()):
            continue
        if isinstance(happened, OrderPlaced) and not orders.counts(visitor, happened.order_id):
            continue
        visitors[visitor].learn(received)
        kept += 1
        while kept > most:
            fewer = {one: known for one, known in visitors.items() if not _class(one, 2 * shares)}
            if len(fewer) in (0, len(visitors)):
                break  # a few visitors with very many carts: nobody can be left out
            visitors, shares = defaultdict(_Visitor, fewer), 2 * shares
            kept = sum(len(one.evidence) + len(one.decided) + len(one.orders) for one in visitors.values())
    rows = [row for known in visitors.values() for row in known.rows(end)] if end else []
    return pl.DataFrame(rows, schema=COLUMNS, orient="row").sort("at", "visitor")


def _class(visitor: str, shares: int) -> int:
    """Which of so many equal shares of all visitors this one belongs to; that of twice as many halves it."""
    return crc32(visitor.encode()) % shares
