"""Level: the units of one SKU in a region, as the newest `StockLevelChanged` has them, and what changes them.

Every function returns the level afterwards, with one movement more, and raises NotEnough where units that nobody has
reserved do not suffice. Units that an order has taken stay in their warehouses until they are sold.
"""

from collections.abc import Iterable, Mapping

import msgspec

from mesh.errors import MeshError
from mesh.events.stock import MovementKind, PendingLoan, StockLevelChanged, StockMovement, StockTaken, WarehouseLevel


class NotEnough(MeshError):
    """Fewer units can be taken than are wanted."""


def received(
    level: StockLevelChanged, warehouse: str, quantity: int, kind: MovementKind, reference: str
) -> StockLevelChanged:
    """`quantity` units more lie in a warehouse, or fewer where it is negative; those that are reserved must stay."""
    if quantity < 0:
        _require(level, warehouse, -quantity)
    found, lost = max(quantity, 0), max(-quantity, 0)
    changed = msgspec.structs.replace(level, received=level.received + found, removed=level.removed + lost)
    return _moved(changed, StockMovement(kind=kind, reference=reference, quantity=quantity), {warehouse: (quantity, 0)})


def transferred(level: StockLevelChanged, start: str, end: str, quantity: int, reference: str) -> StockLevelChanged:
    """Units go from one warehouse of the region to another."""
    _require(level, start, quantity)
    movement = StockMovement(kind="transferred", reference=reference, quantity=quantity)
    return _moved(level, movement, {start: (-quantity, 0), end: (quantity, 0)})


def reserved(level: StockLevelChanged, taken: Iterable[StockTaken], order_id: str) -> StockLevelChanged:
    """Units are kept for an order: those that `choose` chose."""
    return _of_order(level, tuple(taken), "reserved", order_id, on_hand=0, held=1)


def given_back(
    level: StockLevelChanged, taken: Iterable[StockTaken], kind: MovementKind, order_id: str
) -> StockLevelChanged:
    """An order's reserved units can be sold to others again."""
    return _of_order(level, tuple(taken), kind, order_id, on_hand=0, held=-1)


def sold(level: StockLevelChanged, taken: Iterable[StockTaken], order_id: str) -> StockLevelChanged:
    """An order's reserved units leave the stock."""
    units = tuple(taken)
    changed = msgspec.structs.replace(level, sold=level.sold + sum(one.quantity for one in units))
    return _of_order(changed, units, "sold", order_id, on_hand=-1, held=-1)


def lent(level: StockLevelChanged, taken: Iterable[StockTaken], loan_id: str) -> StockLevelChanged:
    """Units that nobody has reserved are another region's from now on."""
    units = tuple(taken)
    changed = msgspec.structs.replace(level, lent=level.lent + sum(one.quantity for one in units))
    return _of_order(changed, units, "lent", loan_id, on_hand=-1, held=0)


def borrowed(level: StockLevelChanged, units: Mapping[str, int], loan_id: str) -> StockLevelChanged:
    """Another region's units, by warehouse, are this region's from now on. A loan that was waited for has come."""
    quantity = sum(units.values())
    changed = msgspec.structs.replace(
        level,
        borrowed=level.borrowed + quantity,
        loan=None if level.loan and level.loan.loan_id == loan_id else level.loan,
    )
    movement = StockMovement(kind="borrowed", reference=loan_id, quantity=quantity)
    return _moved(changed, movement, {warehouse: (units[warehouse], 0) for warehouse in units})


def awaiting(level: StockLevelChanged, loan: PendingLoan) -> StockLevelChanged:
    """The region has asked for a loan."""
    movement = StockMovement(kind="loan_requested", reference=loan.loan_id, quantity=loan.quantity)
    return _moved(msgspec.structs.replace(level, loan=loan), movement, {})


def restated(level: StockLevelChanged) -> StockLevelChanged:
    """The level as it is, stored again before the stream forgets it."""
    movement = StockMovement(kind="restated", reference=level.sku, quantity=0)
    return _moved(msgspec.structs.replace(level, movements=()), movement, {})


def choose(level: StockLevelChanged, quantity: int) -> tuple[StockTaken, ...]:
    """Which warehouses `quantity` units are taken from: one that has them all, or else those that have most.

    Borrowed units are the last, because their parcels travel farthest. Raises NotEnough.
    """
    if quantity > level.available:
        raise NotEnough(f"{level.sku}: {quantity} units are wanted, {level.available} can be sold")
    ranked = sorted(level.warehouses, key=lambda one: (":" in one.warehouse, -one.available, one.warehouse))
    whole = [one for one in ranked if one.available >= quantity][:1]
    taken: list[StockTaken] = []
    for one in whole or ranked:
        units = min(quantity, one.available)
        if units > 0:
            taken.append(StockTaken(sku=level.sku, warehouse=one.warehouse, quantity=units))
            quantity -= units
    return tuple(taken)


def on_hand_in(level: StockLevelChanged, warehouse: str) -> int:
    """How many units lie in a warehouse."""
    return sum(one.on_hand for one in level.warehouses if one.warehouse == warehouse)


def _require(level: StockLevelChanged, warehouse: str, quantity: int) -> None:
    there = next(
        (one for one in level.warehouses if one.warehouse == warehouse), WarehouseLevel(warehouse="", on_hand=0)
    )
    if quantity > there.available:
        raise NotEnough(
            f"{level.sku}: {quantity} units cannot be taken from {warehouse}, which has {there.on_hand} "
            f"and {there.reserved} of them are reserved"
        )


def _of_order(
    level: StockLevelChanged,
    taken: tuple[StockTaken, ...],
    kind: MovementKind,
    reference: str,
    *,
    on_hand: int,
    held: int,
) -> StockLevelChanged:
    quantity = sum(one.quantity for one in taken)
    movement = StockMovement(kind=kind, reference=reference, quantity=quantity)
    changes = {one.warehouse: (on_hand * one.quantity, held * one.quantity) for one in taken}
    return _moved(level, movement, changes)


def _moved(
    level: StockLevelChanged, movement: StockMovement, changes: Mapping[str, tuple[int, int]]
) -> StockLevelChanged:
    """The level after units on hand and reserved units changed, by warehouse; a warehouse with nothing is left out."""
    by_name = {one.warehouse: (one.on_hand, one.reserved) for one in level.warehouses}
    for warehouse, (on_hand, held) in changes.items():
        before = by_name.get(warehouse, (0, 0))
        by_name[warehouse] = (before[0] + on_hand, before[1] + held)
    warehouses = tuple(
        WarehouseLevel(warehouse=name, on_hand=on_hand, reserved=held)
        for name, (on_hand, held) in by_name.items()
        if on_hand or held
    )
    on_hand, held = sum(one.on_hand for one in warehouses), sum(one.reserved for one in warehouses)
    return msgspec.structs.replace(
        level,
        warehouses=warehouses,
        on_hand=on_hand,
        reserved=held,
        available=on_hand - held,
        movements=(*level.movements, movement),
    )
