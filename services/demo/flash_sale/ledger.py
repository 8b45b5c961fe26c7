"""Ledger: what became of the orders of a sale, from the records alone. Pure.

`orders`             orders that the shop acknowledged
`orders_per_s`       of these whose checkout has ended, by the time from the first order to the last end
`confirmed`          orders that are confirmed and not cancelled
`cancelled`          orders that are cancelled
`oversold`           units that are sold or reserved beyond those received, over all regions, for every SKU
`double_charged`     orders for which the provider has more than they cost, or more than one charge with money in it
`charged_not_confirmed`  orders for which the provider has or holds money although they are not confirmed at the end
`stuck_sagas`        acknowledged orders whose checkout has not ended
`lost`               acknowledged orders that stand in no stream; finished checkouts whose order is not confirmed,
                     charged, sold and handed to shipping
`duplicate_effects`  second orders of one reference, confirmations, charges reported, sales, shipments of one order
`p50_ms`, `p99_ms`   from a buyer's first attempt to the acknowledgement
`fraud_flag_ms`      from the request for a fraud check to its answer, by the servers' times of storing
`status_shown_ms`    from storing an order's newest event to its arrival at a page that follows all orders, as a
                     server-sent event; of several events that are shown at once the last one counts
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from mesh import Event
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.order import OrderCancelled, OrderConfirmed, OrderCreated
from mesh.events.payment import PaymentCaptured, PaymentFlagged
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import StockCommandApplied, StockReservationChanged
from services.demo.flash_sale.buyers import Placed
from services.demo.flash_sale.records import ENDED, Records
from services.demo.payment_provider.books import Charge
from services.demo.replay.report import percentiles

ZERO = ("oversold", "double_charged", "charged_not_confirmed", "stuck_sagas", "lost", "duplicate_effects")
"""The counts that must be 0."""


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; None where nothing was measured."""

    p50: float | None
    p99: float | None


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a sale, defined above."""

    orders: int
    orders_per_s: float
    confirmed: int
    cancelled: int
    oversold: int
    double_charged: int
    charged_not_confirmed: int
    stuck_sagas: int
    lost: int
    duplicate_effects: int
    p50_ms: float | None
    p99_ms: float | None
    fraud_flag_ms: Percentiles
    status_shown_ms: Percentiles

    @property
    def wrong(self) -> list[str]:
        """The counts that are not 0 and must be."""
        return [name for name in ZERO if getattr(self, name)]


def draw_up(placed: Sequence[Placed], records: Records) -> Ledger:
    """The ledger of a sale."""
    taken = {one.order_id for one in placed if one.order_id}
    cancelled = _ids(records, OrderCancelled)
    confirmed = _ids(records, OrderConfirmed) - cancelled
    charges: dict[str, list[Charge]] = defaultdict(list)
    for charge in records.charges:
        charges[charge.order].append(charge)
    answered = percentiles(timedelta(seconds=one.seconds) for one in placed if one.order_id)
    return Ledger(
        orders=len(taken),
        orders_per_s=_rate(taken, records),
        confirmed=len(confirmed),
        cancelled=len(cancelled),
        oversold=_oversold(records),
        double_charged=_double_charged(records, charges),
        charged_not_confirmed=sum(
            any(one.held or _kept(one) for one in of) for order_id, of in charges.items() if order_id not in confirmed
        ),
        stuck_sagas=len(stuck(taken, records)),
        lost=_lost(taken, confirmed, charges, records),
        duplicate_effects=_duplicates(records),
        p50_ms=answered["p50"],
        p99_ms=answered["p99"],
        fraud_flag_ms=_fraud(records),
        status_shown_ms=Percentiles(**percentiles(records.shown)),
    )


def stuck(taken: Iterable[str], records: Records) -> dict[str, str]:
    """Order -> where its checkout is, for those that have not ended."""
    checkouts = records.checkouts()
    found = {}
    for order_id in taken:
        last = checkouts.get(order_id)
        if last is None:
            found[order_id] = "it has not begun"
        elif last.event.step not in ENDED:
            state = last.event
            found[order_id] = f"{state.step}, " + (f"parked: {state.parked}" if state.parked else "not answered")
    return found


def _ids(records: Records, kind: type[Event]) -> set[str]:
    return {one.event.order_id for one in records.events[kind]}


def _kept(charge: Charge) -> int:
    """What the shop has of a charge, in minor units."""
    return charge.captured - charge.refunded


def _rate(taken: set[str], records: Records) -> float:
    ends = [one.stored for id_, one in records.checkouts().items() if id_ in taken and one.event.step in ENDED]
    begins = [one.stored for one in records.events[OrderCreated]]
    span = (max(ends) - min(begins)).total_seconds() if ends and begins else 0
    return round(len(ends) / span, 1) if span else 0.0


def _oversold(records: Records) -> int:
    """Units are counted from the merchants' commands and each order's last reservation, not from the stock's levels."""
    left: Counter[str] = Counter()
    for one in records.events[StockCommandApplied]:
        left[one.event.sku] += one.event.change
    last = {one.event.order_id: one.event for one in records.events[StockReservationChanged]}
    for changed in last.values():
        if changed.outcome in ("reserved", "sold"):
            left.subtract(_units(changed))
    return sum(-count for count in left.values() if count < 0)


def _units(changed: StockReservationChanged) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in changed.taken:
        found[one.sku] += one.quantity
    return found


def _double_charged(records: Records, charges: dict[str, list[Charge]]) -> int:
    costs = {one.event.order_id: one.event.total.amount for one in records.events[OrderCreated]}
    return sum(
        sum(map(_kept, of)) > costs.get(order_id, 0) or sum(_kept(one) > 0 for one in of) > 1
        for order_id, of in charges.items()
    )


def _lost(taken: set[str], confirmed: set[str], charges: dict[str, list[Charge]], records: Records) -> int:
    ended = {id_ for id_, one in records.checkouts().items() if one.event.step == "finished"}
    sold = {one.event.order_id for one in records.events[StockReservationChanged] if one.event.outcome == "sold"}
    charged = {order_id for order_id, of in charges.items() if any(map(_kept, of))}
    whole = sold & charged & _ids(records, ShipmentRequested) & confirmed
    return len(taken - _ids(records, OrderCreated)) + len(ended - whole)


def _duplicates(records: Records) -> int:
    """How many effects there are beyond the first of each order."""
    per_order = [
        Counter(one.event.reference for one in records.events[OrderCreated]),
        Counter(one.event.order_id for one in records.events[OrderConfirmed]),
        Counter(one.event.order_id for one in records.events[PaymentCaptured]),
        Counter(one.event.order_id for one in records.events[ShipmentRequested]),
        Counter(one.event.order_id for one in records.events[StockReservationChanged] if one.event.outcome == "sold"),
    ]
    return sum(count - 1 for counted in per_order for count in counted.values())


def _fraud(records: Records) -> Percentiles:
    asked = {one.id: one.stored for one in records.events[FraudCheckRequested]}
    answers = (*records.events[FraudCleared], *records.events[PaymentFlagged])
    found = percentiles(one.stored - asked[one.event.answers] for one in answers if one.event.answers in asked)
    return Percentiles(p50=found["p50"], p99=found["p99"])
