"""Borrowing: whether a short request waits for units of another region, and which region is asked for them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from mesh.envelope import derive_id
from mesh.events.stock import PendingLoan, StockLoanRequested, StockShortage
from services.stock import level as levels
from services.stock.stock_settings import StockSettings
from services.stock.working_copy import WorkingCopy


class Borrowing:
    """What is short in one commit, and what other regions could lend as far as it is known here."""

    def __init__(
        self, region: str, now: datetime, settings: StockSettings, others: Mapping[str, Mapping[str, int]]
    ) -> None:
        """`others` is SKU -> region -> units that it could sell, by the newest level that has arrived here."""
        self._region, self.now, self.settings, self._others = region, now, settings, others
        self._wanted: Counter[str] = Counter()

    def worth_waiting(self, short: Iterable[StockShortage], copy: WorkingCopy, requested_at: datetime) -> bool:
        """Whether all that is short may come; then it counts as wanted, and nobody else waits for the same units."""
        if self.now >= requested_at + self.settings.stock_loan_patience:
            return False
        missing = {one.sku: one.wanted - max(one.available, 0) for one in short}
        for sku, units in missing.items():
            loan = self._pending(sku, copy)
            possible = sum(self._others.get(sku, {}).values()) + (loan.quantity if loan else 0)
            if units > possible - self._wanted[sku]:
                return False
        self._wanted.update(missing)
        return True

    def request(self, copy: WorkingCopy) -> None:
        """Ask for what is wanted: one region for each SKU, and no second one while the first may answer."""
        for loan in list(self._loans(copy)):
            copy.add(loan)
            pending = PendingLoan(
                loan_id=loan.loan_id, lender=loan.lender, quantity=loan.quantity, requested_at=self.now
            )
            copy.change_level(levels.awaiting(copy.level(loan.sku), pending))

    def _loans(self, copy: WorkingCopy) -> Iterator[StockLoanRequested]:
        for sku, wanted in self._wanted.items():
            level = copy.level(sku)
            offers = {region: units for region, units in self._others.get(sku, {}).items() if units > 0}
            if self._pending(sku, copy) or not offers:
                continue
            silent = level.loan.lender if level.loan else None
            lender = max(offers, key=lambda region: (region != silent, offers[region], region))
            yield StockLoanRequested(
                loan_id=derive_id(self._region, "loan", sku, self.now.isoformat()),
                sku=sku,
                quantity=min(wanted, offers[lender]),
                borrower=self._region,
                lender=lender,
            )

    def _pending(self, sku: str, copy: WorkingCopy) -> PendingLoan | None:
        """The loan that may still come soon; one that does not is added whenever it comes."""
        loan = copy.level(sku).loan
        return loan if loan and self.now < loan.requested_at + self.settings.stock_loan_patience else None
