"""Assignments: what chance gave each left cart, what was known of it at that moment, and whether its shopper bought."""

from bisect import bisect_right
from collections import defaultdict
from datetime import datetime

import polars as pl

from mesh import Mesh
from mesh.events.cart import CartScored
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderPlaced
from mesh.events.user import Evidence

COLUMNS = {
    "visitor": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "arm": pl.String,
    "probability": pl.Float64,
    "withheld": pl.Float64,
    "names": pl.String,
    "values": pl.List(pl.Float64),
    "waited": pl.Float64,
    "observed": pl.Float64,
}


async def training_rows(mesh: Mesh) -> pl.DataFrame:
    """One row per decided, eligible and scored cart of this region's log, in time order, as `COLUMNS`.

    `arm` is `none` or the discount in percent, `probability` what it was given with, `withheld` that of `none`;
    `values` the features that were served for it, in the order whose digest is `names`; `waited` the seconds
    until the visitor's next order, null while there is none; `observed` the seconds until the log ends.
    """
    evidence: dict[str, Evidence] = {}
    decided: dict[str, tuple[datetime, OfferDecided]] = {}
    orders: dict[str, list[datetime]] = defaultdict(list)
    end: datetime | None = None
    async for received in mesh.read(CartScored, OfferDecided, OrderPlaced):
        happened = received.event
        end = received.time if end is None else max(end, received.time)
        if isinstance(happened, CartScored):
            if happened.evidence is not None:
                evidence[happened.abandonment_id] = happened.evidence
        elif isinstance(happened, OrderPlaced):
            orders[happened.visitor_id].append(received.time)
        elif happened.assignment is not None and happened.assignment.eligible:
            decided[happened.abandonment_id] = (received.time, happened)
    for times in orders.values():
        times.sort()
    rows = [
        _row(at, offer, evidence[abandonment], orders.get(offer.visitor_id, []), end)
        for abandonment, (at, offer) in decided.items()
        if abandonment in evidence
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row").sort("at", "visitor")


def _row(at: datetime, offer: OfferDecided, known: Evidence, orders: list[datetime], end: datetime | None) -> tuple:
    following = bisect_right(orders, at)
    waited = (orders[following] - at).total_seconds() if following < len(orders) else None
    given = offer.assignment
    return (
        offer.visitor_id,
        at,
        given.arm if given else None,
        given.probability if given else None,
        given.withheld if given else None,
        known.names,
        list(known.values),
        waited,
        (end - at).total_seconds() if end else 0.0,
    )
