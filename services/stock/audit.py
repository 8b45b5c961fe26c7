"""Audit: a region's stock as it follows from commands, orders and loans alone, beside the levels that were stored.

It is fed with one region's events in their order and trusts none of the levels: each must be what the rest adds up to.
Where the stream has forgotten its beginning, the first level of a SKU says what was there before (`opening`).
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from mesh import Mesh, Received
from mesh.event import Event, declaration_of
from mesh.events.stock import (
    StockCommandApplied,
    StockLevelChanged,
    StockLoanGranted,
    StockLoanReceived,
    StockReservationChanged,
    StockTaken,
)
from mesh.subjects import every, matches

AUDITED: tuple[type[Event], ...] = (
    StockCommandApplied,
    StockReservationChanged,
    StockLoanGranted,
    StockLoanReceived,
    StockLevelChanged,
)
"""What an audit reads. The level of a commit stands behind all that led to it."""


async def read_audited(mesh: Mesh, *, after: int = 0) -> AsyncIterator[Received]:
    """What an audit reads of this region's log, behind a sequence, up to now or just before. Raises Unavailable.

    All events of stock are read under one pattern. Kinds that are read beside each other are each read at a moment of
    its own: what is stored in between would be left out of one kind and not of the next, and its commit be torn.
    """
    level = declaration_of(StockLevelChanged)
    filters = [every(declaration_of(kind), region=mesh.region) for kind in AUDITED]
    whole = f"{level.root}.{mesh.region}.{level.domain}.>"
    async for message in mesh.broker.read(mesh.stream_of(StockLevelChanged), [whole], after=after):
        if any(matches(one, message.subject) for one in filters):
            yield await mesh.received(message)


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU in one region, or what they changed by."""

    received: int = 0
    borrowed: int = 0
    removed: int = 0
    lent: int = 0
    sold: int = 0
    reserved: int = 0

    def plus(self, sign: int = 1, **units: int) -> "Units":
        """With these units more, or fewer with the sign -1."""
        return msgspec.structs.replace(self, **{name: getattr(self, name) + sign * units[name] for name in units})

    @property
    def overdrawn(self) -> int:
        """How many units more are reserved or gone than ever came: above 0, a unit was promised twice."""
        return self.reserved + self.sold + self.removed + self.lent - self.received - self.borrowed


@dataclass
class Account:
    """One SKU: `units` since the log begins, `opening` before it, and the newest level with when it was stored."""

    units: Units = field(default_factory=Units)
    opening: Units | None = None
    level: StockLevelChanged | None = None
    stored: datetime | None = None

    @property
    def total(self) -> Units:
        """All that ever happened."""
        return (self.opening or Units()).plus(**msgspec.structs.asdict(self.units))


class StockAudit:
    """One region's audit. `violations` is empty while no unit was promised twice."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.accounts: dict[str, Account] = {}
        self.granted: dict[str, StockLoanGranted] = {}
        self.received: dict[str, StockLoanReceived] = {}
        self._open: dict[str, tuple[StockTaken, ...]] = {}
        self._found: dict[str, str] = {}

    def apply(self, received: Received) -> None:
        """Take the next event of the region."""
        match received.event:
            case StockCommandApplied(sku=sku, change=change):
                self._add(sku, received=max(change, 0), removed=max(-change, 0))
            case StockLoanGranted(sku=sku, quantity=quantity) as grant:
                self._once(grant.loan_id in self.granted, f"loan {grant.loan_id} was granted twice")
                self.granted[grant.loan_id] = grant
                self._add(sku, lent=quantity)
            case StockLoanReceived(sku=sku, quantity=quantity) as loan:
                self._once(loan.loan_id in self.received, f"loan {loan.loan_id} was received twice")
                self.received[loan.loan_id] = loan
                self._add(sku, borrowed=quantity)
            case StockReservationChanged() as changed:
                self._reserve(changed)
            case StockLevelChanged() as level:
                self._compare(level, received.stored)

    def violations(self) -> list[str]:
        """What is wrong, in sentences."""
        now = (
            f"{sku}: {account.total.overdrawn} more units are reserved, sold or gone than ever came: {account.total}"
            for sku, account in sorted(self.accounts.items())
            if account.total.overdrawn > 0
        )
        return [f"{self.region}: {one}" for one in (*self._found.values(), *now)]

    def _reserve(self, changed: StockReservationChanged) -> None:
        held = self._open.pop(changed.order_id, ())
        if changed.before == "reserved" and held and _sorted(held) != _sorted(changed.taken):
            self._once(True, f"order {changed.order_id} gave back or bought other units than it had reserved")
        for one in held or (changed.taken if changed.before == "reserved" else ()):
            self._add(one.sku, reserved=-one.quantity)
        if changed.outcome == "sold" and changed.before == "sold":
            self._once(True, f"order {changed.order_id} was sold twice")
        for one in changed.taken:
            if changed.outcome == "sold":
                self._add(one.sku, sold=one.quantity)
            elif changed.outcome == "reserved":
                self._add(one.sku, reserved=one.quantity)
        if changed.outcome == "reserved":
            self._open[changed.order_id] = changed.taken

    def _compare(self, level: StockLevelChanged, stored: datetime) -> None:
        account = self.accounts.setdefault(level.sku, Account())
        written = Units(**{name: getattr(level, name) for name in Units.__struct_fields__})
        if account.opening is None:
            account.opening = written.plus(-1, **msgspec.structs.asdict(account.units))
        account.level, account.stored = level, stored
        self._once(written != account.total, f"{level.sku}: the level has {written}, what happened is {account.total}")
        for one in level.warehouses:
            self._once(
                not 0 <= one.reserved <= one.on_hand,
                f"{level.sku}: of {one.on_hand} units in {one.warehouse} {one.reserved} are reserved",
            )

    def _add(self, sku: str, **units: int) -> None:
        account = self.accounts.setdefault(sku, Account())
        account.units = account.units.plus(**units)

    def _once(self, wrong: bool, sentence: str) -> None:
        if wrong and len(self._found) < 100:
            self._found.setdefault(sentence, sentence)


def loans_between(audits: Iterable[StockAudit]) -> Iterator[str]:
    """What is wrong with the loans between regions: units that came and never left, or not as many."""
    by_region = {audit.region: audit for audit in audits}
    for audit in by_region.values():
        for loan in audit.received.values():
            lender = by_region.get(loan.lender)
            granted = lender.granted.get(loan.loan_id) if lender else None
            if lender and (granted is None or granted.quantity != loan.quantity):
                left = granted.quantity if granted else 0
                yield (
                    f"{audit.region}: {loan.quantity} units of {loan.sku} came from {loan.lender}, "
                    f"where {left} left (loan {loan.loan_id})"
                )


def in_flight(audits: Iterable[StockAudit]) -> dict[str, int]:
    """SKU -> units that have left a lender and have not come yet."""
    every = list(audits)
    arrived = {loan_id for audit in every for loan_id in audit.received}
    units: dict[str, int] = {}
    for audit in every:
        for grant in audit.granted.values():
            if grant.loan_id not in arrived and grant.quantity:
                units[grant.sku] = units.get(grant.sku, 0) + grant.quantity
    return units


def _sorted(taken: tuple[StockTaken, ...]) -> list[tuple[str, str, int]]:
    return sorted((one.sku, one.warehouse, one.quantity) for one in taken)
