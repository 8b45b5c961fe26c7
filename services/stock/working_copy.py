"""Working copy: levels and reservations as they were read, changed by one decision after the other, until committed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from mesh import Unchanged
from mesh.event import Event
from mesh.events.stock import (
    StockLevelChanged,
    StockLowReached,
    StockReplenished,
    StockReservationChanged,
)
from mesh.publish import Change

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Known(Generic[E]):
    """The newest event of a key, and its place in the stream."""

    event: E
    sequence: int


Levels = Mapping[str, Known[StockLevelChanged]]
Reservations = Mapping[str, Known[StockReservationChanged]]


class WorkingCopy:
    """What was read, and what shall become true of it in one commit."""

    def __init__(self, levels: Levels, reservations: Reservations) -> None:
        """Both by key: a SKU, an order's id. What is missing was never stored."""
        self._levels, self._reservations = levels, reservations
        self._changed_levels: dict[str, StockLevelChanged] = {}
        self._changed_reservations: dict[str, StockReservationChanged] = {}
        self._further: list[Change] = []

    def level(self, sku: str) -> StockLevelChanged:
        """A SKU's level after what was decided so far; its movements are those of this commit."""
        if sku in self._changed_levels:
            return self._changed_levels[sku]
        known = self._levels.get(sku)
        return msgspec.structs.replace(known.event, movements=()) if known else StockLevelChanged(sku=sku)

    def reservation(self, order_id: str) -> StockReservationChanged | None:
        """An order's reservation as it was read."""
        known = self._reservations.get(order_id)
        return known.event if known else None

    def change_level(self, level: StockLevelChanged) -> None:
        """Store this level."""
        self._changed_levels[level.sku] = level

    def change_reservation(self, changed: StockReservationChanged) -> None:
        """Store this state of a reservation: one for each order in a commit."""
        self._changed_reservations[changed.order_id] = changed

    def add(self, *changes: Change) -> None:
        """Store or schedule something else in the same commit."""
        self._further.extend(changes)

    @property
    def changed_levels(self) -> list[StockLevelChanged]:
        """The levels that are to be stored, in the order in which they are."""
        return list(self._changed_levels.values())

    def changes(self, low_at: int) -> Iterator[Change]:
        """What to commit, each on condition that nobody changed it meanwhile.

        A SKU is low where `low_at` or fewer units of it can still be sold. Levels come last: whoever sees a level
        can see all that led to it.
        """
        for order_id, changed in self._changed_reservations.items():
            yield from _conditional(changed, self._reservations.get(order_id), order_id)
        yield from self._further
        for sku, level in self._changed_levels.items():
            known = self._levels.get(sku)
            before = known.event.available if known else None
            if before is not None and before > low_at >= level.available:
                yield StockLowReached(sku=sku, available=level.available, threshold=low_at)
            if before == 0 and level.available > 0:
                yield StockReplenished(sku=sku, available=level.available)
        for sku, level in self._changed_levels.items():
            yield from _conditional(level, self._levels.get(sku), sku)


def _conditional(changed: Event, known: Known[Any] | None, key: str) -> Iterator[Change]:
    yield changed
    yield Unchanged(type(changed), key, known.sequence if known else 0)
