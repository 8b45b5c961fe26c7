"""Requests: what a checkout asks for, and what of it can be wrong."""

from dataclasses import dataclass
from datetime import datetime

from mesh import Received
from mesh.errors import InvalidKey
from mesh.events.stock import (
    StockLine,
    StockReleaseRequested,
    StockReservationExpired,
    StockReservationPostponed,
    StockReservationRequested,
    StockSaleRequested,
)
from mesh.subjects import token

MOST_SKUS = 250
"""The most different SKUs of one order: with all of them its commit stays within what the server stores at once."""
MOST_UNITS = 1_000_000
"""The most units of one SKU in one order."""
Request = (
    StockReservationRequested
    | StockReservationPostponed
    | StockReleaseRequested
    | StockSaleRequested
    | StockReservationExpired
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a reservation, whether it is decided for the first time or was postponed."""

    order_id: str
    lines: tuple[StockLine, ...]
    until: datetime
    id: str
    sequence: int
    at: datetime


def asked(request: StockReservationRequested | StockReservationPostponed, received: Received) -> Asked:
    """The request in an event, which was received so."""
    id_, sequence, at = received.id, received.sequence, received.stored
    if isinstance(request, StockReservationPostponed):
        id_, sequence, at = request.request_id, request.request_sequence, request.requested_at
    return Asked(order_id=request.order_id, lines=request.lines, until=request.until, id=id_, sequence=sequence, at=at)


def summed(lines: tuple[StockLine, ...]) -> tuple[StockLine, ...]:
    """One line for each SKU."""
    units: dict[str, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    return tuple(StockLine(sku=sku, quantity=quantity) for sku, quantity in units.items())


def problem_of(lines: tuple[StockLine, ...]) -> str:
    """Why nobody can reserve these lines; empty where they are right."""
    if not lines:
        return "there are no lines"
    if len({line.sku for line in lines}) > MOST_SKUS:
        return f"there are more than {MOST_SKUS} different SKUs"
    for line in lines:
        if not 0 < line.quantity <= MOST_UNITS:
            return f"{line.sku[:40]}: {line.quantity} is no quantity"
        try:
            token(line.sku, "sku")
        except InvalidKey as error:
            return str(error)
    return ""
