"""Records: what the streams of all regions and the provider's books say of a sale, read again and again."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from mesh import Event, Mesh, Received
from mesh.events.checkout import CheckoutAdvanced
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.order import OrderCancelled, OrderConfirmed, OrderCreated
from mesh.events.payment import PaymentCaptured, PaymentFlagged
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import StockCommandApplied, StockReservationChanged
from mesh.streams import dead_stream
from services.demo.payment_provider.books import Charge, Entry

KINDS: tuple[type[Event], ...] = (
    OrderCreated,
    OrderConfirmed,
    OrderCancelled,
    CheckoutAdvanced,
    FraudCheckRequested,
    FraudCleared,
    PaymentFlagged,
    PaymentCaptured,
    ShipmentRequested,
    StockCommandApplied,
    StockReservationChanged,
)
ENDED = ("finished", "undone")
"""The steps after which a checkout waits for nothing."""


@dataclass
class Records:
    """Events by kind, as they stand in the regions' own streams; charges as the provider's books have them.

    `shown` is how late each change came to a page that follows all orders.
    """

    events: dict[type[Event], list[Received]] = field(default_factory=lambda: defaultdict(list))
    charges: list[Charge] = field(default_factory=list)
    dead_letters: int = 0
    shown: list[timedelta] = field(default_factory=list)

    def checkouts(self) -> dict[str, Received[CheckoutAdvanced]]:
        """The last state of each order's checkout."""
        last: dict[str, Received[CheckoutAdvanced]] = {}
        for one in self.events[CheckoutAdvanced]:
            known = last.get(one.event.order_id)
            if known is None or one.sequence > known.sequence:
                last[one.event.order_id] = one
        return last


class Reader:
    """Reads what is new. Each kind is read for itself: replicas may lag, but none leaves out an earlier one."""

    def __init__(self, meshes: dict[str, Mesh], books: Path) -> None:
        self._meshes, self._books = meshes, books
        self._after: dict[tuple[str, type[Event]], int] = defaultdict(int)
        self.records = Records()

    async def read(self) -> Records:
        """The records as they are now. Raises Unavailable while a stream cannot be read; calling it again is safe."""
        dead = 0
        for region, mesh in self._meshes.items():
            for kind in KINDS:
                place = (region, kind)
                found = [one async for one in mesh.read(kind, after=self._after[place])]
                if found:
                    self._after[place] = found[-1].sequence
                    self.records.events[kind] += found
            dead += len([1 async for _ in mesh.broker.read(dead_stream(region), [f"dead.{region}.>"])])
        self.records.dead_letters = dead
        self.records.charges = read_books(self._books)
        return self.records


def read_books(path: Path) -> list[Charge]:
    """The charges in the provider's file, each as it was booked last."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    entries = [msgspec.json.decode(line, type=Entry) for line in lines]
    return list({entry.charge.id: entry.charge for entry in entries}.values())
