"""Stock: what lies in a region's warehouses, who has reserved it, what was sold, and what regions lend each other.

A checkout requests a reservation, a release or a sale of an order. Each is answered by one event of the order,
`StockReservationChanged`, whose newest is the reservation's state. It is stored in one commit with the new levels of
all its SKUs.
"""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.event import Event, event

Outcome = Literal["reserved", "refused", "released", "expired", "sold"]
CommandKind = Literal["receive", "adjust", "count", "transfer"]
MovementKind = Literal[
    "received",
    "adjusted",
    "counted",
    "transferred",
    "reserved",
    "released",
    "expired",
    "sold",
    "loan_requested",
    "lent",
    "borrowed",
    "restated",
]


class StockLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU that an order asks for."""

    sku: str
    quantity: int


class StockTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU that an order has from one warehouse."""

    sku: str
    warehouse: str
    quantity: int


class StockShortage(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU of which an order asks for more than there is to sell."""

    sku: str
    wanted: int
    available: int


@event(key="order_id")
class StockReservationRequested(Event):
    """A checkout asks for an order's units, all or none. They are held until `until`."""

    order_id: str
    lines: tuple[StockLine, ...]
    until: datetime


@event(key="order_id")
class StockReservationPostponed(Event):
    """A timer: a request is decided again after another region was asked for what was short.

    `request_id` and `request_sequence` are those of the request, `requested_at` when it was stored.
    """

    order_id: str
    lines: tuple[StockLine, ...]
    until: datetime
    request_id: str
    request_sequence: int
    requested_at: datetime


@event(key="order_id")
class StockReleaseRequested(Event):
    """A checkout gives an order's units back. What was sold stays sold."""

    order_id: str
    reason: str = ""


@event(key="order_id")
class StockSaleRequested(Event):
    """A checkout sells what an order has reserved. A reservation that has expired is made again, if there is enough."""

    order_id: str


@event(key="order_id")
class StockReservationExpired(Event):
    """A timer: a reservation that was to hold until now. `request_id` is the request that it answered."""

    order_id: str
    request_id: str


@event(key="order_id")
class StockReservationChanged(Event):
    """What became of an order's units: the answer to a request, and the reservation's state.

    `outcome`: `reserved` until `until`; `refused`, with what is `short` and the `reason`; `released`, as was requested;
    `expired`; `sold`, which nothing changes any more. `before` is the outcome before this one.
    `lines` is what the order asks for, of each SKU one; `taken` is what it has from which warehouse, and had, where it
    was released or has expired. `answers` is the id of the request that this answers, `request_sequence` its place.
    """

    order_id: str
    outcome: Outcome
    lines: tuple[StockLine, ...]
    taken: tuple[StockTaken, ...]
    answers: str
    request_sequence: int
    before: Outcome | None = None
    until: datetime | None = None
    short: tuple[StockShortage, ...] = ()
    reason: str = ""


class WarehouseLevel(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU in one warehouse: those that lie there, and how many of them are reserved.

    Borrowed units lie in a warehouse of another region, whose name is then `<region>:<warehouse>`.
    """

    warehouse: str
    on_hand: int
    reserved: int = 0

    @property
    def available(self) -> int:
        """Units that can be reserved."""
        return self.on_hand - self.reserved


class StockMovement(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that changed a level. `reference` is the command, the order or the loan; `quantity` may be negative."""

    kind: MovementKind
    reference: str
    quantity: int


class PendingLoan(msgspec.Struct, frozen=True, kw_only=True):
    """A loan that this region has requested and not received yet."""

    loan_id: str
    lender: str
    quantity: int
    requested_at: datetime


@event(key="sku")
class StockLevelChanged(Event):
    """The units of one SKU in one region, after the `movements` of one commit.

    Totals since the SKU's first receipt here: `received`, which counts units that were found, too; `removed`, those
    that were lost or written off; `sold`; `borrowed` from and `lent` to other regions.
    `on_hand` = received + borrowed - removed - sold - lent; `available` = on_hand - reserved, never negative.
    """

    sku: str
    warehouses: tuple[WarehouseLevel, ...] = ()
    on_hand: int = 0
    reserved: int = 0
    available: int = 0
    received: int = 0
    removed: int = 0
    sold: int = 0
    borrowed: int = 0
    lent: int = 0
    loan: PendingLoan | None = None
    movements: tuple[StockMovement, ...] = ()


@event(key="command_id")
class StockCommandApplied(Event):
    """A merchant's command changed the stock of one SKU, once for each id.

    `receive` adds `quantity` units to `warehouse`; `adjust` adds them or, where negative, takes them away; `count` says
    that there are `quantity`; `transfer` moves them to `to_warehouse`. `change` is by how much the region's units
    changed.
    """

    command_id: str
    command: CommandKind
    sku: str
    warehouse: str
    quantity: int
    change: int
    to_warehouse: str | None = None
    reason: str = ""


@event(key="sku")
class StockLowReached(Event):
    """Few units of a SKU can still be sold in this region: `threshold` or fewer."""

    sku: str
    available: int
    threshold: int


@event(key="sku")
class StockReplenished(Event):
    """A SKU that was sold out in this region can be sold again."""

    sku: str
    available: int


@event(key="loan_id")
class StockLoanRequested(Event):
    """A region asks another one, `lender`, for units that its buyers want and that it does not have."""

    loan_id: str
    sku: str
    quantity: int
    borrower: str
    lender: str


@event(key="loan_id")
class StockLoanGranted(Event):
    """A lender has taken units off its own stock for a borrower: `taken` from which warehouses. 0: it has none."""

    loan_id: str
    sku: str
    quantity: int
    borrower: str
    lender: str
    taken: tuple[StockTaken, ...] = ()


@event(key="loan_id")
class StockLoanReceived(Event):
    """A borrower has added the units of a loan to its own stock."""

    loan_id: str
    sku: str
    quantity: int
    borrower: str
    lender: str


CHECKOUT_REQUESTS: tuple[type[Event], ...] = (StockReservationRequested, StockReleaseRequested, StockSaleRequested)
"""What a checkout publishes."""
