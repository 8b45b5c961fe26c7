"""Auditor: reads on in the region's log and audits it, and stores levels again before the log forgets them."""

from datetime import UTC, datetime

import msgspec
from prometheus_client import Gauge

from mesh import Mesh
from mesh.event import declaration_of
from mesh.events.stock import StockLevelChanged, StockLoanGranted
from mesh.observability.logs import log
from services.stock import level as levels
from services.stock.audit import StockAudit, Units, read_audited
from services.stock.working_copy import WorkingCopy
from services.stock.writer import StockWriter

VIOLATIONS = Gauge(
    "cartmesh_stock_violations", "Ways in which the stock's levels and what happened contradict each other.", ["region"]
)
RESTATED_AT_ONCE = 100
"""The most levels that are stored again at one look."""


class SkuReport(msgspec.Struct, frozen=True, kw_only=True):
    """One SKU in one region: what happened to it, and what its level says there is."""

    sku: str
    happened: Units
    on_hand: int
    available: int


class StockReport(msgspec.Struct, frozen=True, kw_only=True):
    """An audit of one region up to a place in its log. No violations: no unit was sold or promised twice."""

    region: str
    sequence: int
    violations: tuple[str, ...]
    skus: tuple[SkuReport, ...]


class Auditor:
    """The audit of this region; a process that starts reads the log from its beginning."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh, self._audit = mesh, StockAudit(mesh.region)
        self._sequence = 0
        self._loans: set[str] = set()
        self._foreign: list[str] = []

    async def look(self) -> tuple[str, ...]:
        """Audit what was stored since the last look; what is wrong."""
        async for received in read_audited(self._mesh, after=self._sequence):
            self._audit.apply(received)
            self._sequence = received.sequence
        await self._compare_loans()
        found = (*self._audit.violations(), *self._foreign)
        VIOLATIONS.labels(self._mesh.region).set(len(found))
        for sentence in found:
            log.error("stock does not add up", found=sentence)
        return found

    async def restate(self, writer: StockWriter) -> int:
        """Store again what the log would forget: levels that are half as old as it is long. How many."""
        keep = self._mesh.layout.family_of(declaration_of(StockLevelChanged)).keep
        before = datetime.now(UTC) - keep / 2
        old = [sku for sku, one in self._audit.accounts.items() if one.stored and one.stored < before]
        for sku in old[:RESTATED_AT_ONCE]:
            await _restate(sku, writer)
        return len(old[:RESTATED_AT_ONCE])

    def report(self) -> StockReport:
        """What was found up to now."""
        accounts = sorted(self._audit.accounts.items())
        return StockReport(
            region=self._mesh.region,
            sequence=self._sequence,
            violations=(*self._audit.violations(), *self._foreign),
            skus=tuple(
                SkuReport(sku=sku, happened=one.total, on_hand=one.level.on_hand, available=one.level.available)
                for sku, one in accounts
                if one.level
            ),
        )

    async def _compare_loans(self) -> None:
        """Whether what came from other regions has left them, as their events tell that have arrived here."""
        for loan_id in self._audit.received.keys() - self._loans:
            loan = self._audit.received[loan_id]
            granted = await self._mesh.last(StockLoanGranted, loan_id, region=loan.lender)
            if granted is None or granted.event.quantity != loan.quantity:
                left = granted.event.quantity if granted else 0
                self._foreign.append(
                    f"{loan.borrower}: {loan.quantity} units of {loan.sku} came from {loan.lender}, where {left} left"
                )
            self._loans.add(loan_id)


async def _restate(sku: str, writer: StockWriter) -> None:
    async def restated(_: bool) -> WorkingCopy | None:
        copy = WorkingCopy(await writer.levels([sku], careful=True), {})
        copy.change_level(levels.restated(copy.level(sku)))
        return copy

    await writer.commit(restated, writer.cause("restate-level", f"{sku}.{datetime.now(UTC).isoformat()}"))
