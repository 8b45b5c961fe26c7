"""Audit report: the audits of all regions in one table, with what is wrong."""

from collections.abc import Mapping, Sequence

import msgspec

from services.stock.audit import StockAudit, loans_between

_COLUMNS = ("sku", "region", "received", "borrowed", "removed", "lent", "sold", "reserved", "on hand", "available")


class AuditedSku(msgspec.Struct, frozen=True, kw_only=True):
    """One SKU in one region; `on_hand` and `available` are what is left."""

    sku: str
    region: str
    received: int
    borrowed: int
    removed: int
    lent: int
    sold: int
    reserved: int
    on_hand: int
    available: int


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """All regions: their SKUs, units under way from one region to another by SKU, and what is wrong."""

    skus: tuple[AuditedSku, ...]
    in_flight: dict[str, int]
    violations: tuple[str, ...]

    def table(self) -> str:
        """The report as text."""
        rows = [_COLUMNS, *(tuple(str(value) for value in msgspec.structs.astuple(one)) for one in self.skus)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
        lines = ["  ".join(_aligned(row, widths)) for row in rows]
        lines += [f"{sku}: {units} units are on their way to another region" for sku, units in self.in_flight.items()]
        lines += self.violations or ("Every unit is accounted for: none was reserved or sold twice.",)
        return "\n".join(lines)


def report_of(audits: Sequence[StockAudit], flying: Mapping[str, int], sku: str | None = None) -> AuditReport:
    """The report on all regions; with `sku` only this one is listed."""
    rows = [
        AuditedSku(
            sku=name,
            region=audit.region,
            **msgspec.structs.asdict(account.total),
            on_hand=account.level.on_hand,
            available=account.level.available,
        )
        for audit in audits
        for name, account in audit.accounts.items()
        if account.level and sku in (None, name)
    ]
    return AuditReport(
        skus=tuple(sorted(rows, key=lambda row: (row.sku, row.region))),
        in_flight=dict(flying),
        violations=(*(sentence for audit in audits for sentence in audit.violations()), *loans_between(audits)),
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Names to the left, figures to the right."""
    cells = list(zip(row, widths, strict=True))
    return [*(text.ljust(width) for text, width in cells[:2]), *(text.rjust(width) for text, width in cells[2:])]
