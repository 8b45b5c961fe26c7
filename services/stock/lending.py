"""Lending: units go from one region's stock to another's. They leave the lender before the borrower has them.

Both steps are once for each loan: of a loan that was granted or received before, a second delivery changes nothing.
A borrower adds units whenever they come, also long after it stopped to wait for them.
"""

from mesh import Mesh, Unchanged
from mesh.events.stock import (
    StockLevelChanged,
    StockLoanGranted,
    StockLoanReceived,
    StockLoanRequested,
)
from mesh.observability.logs import log
from services.stock import level as levels
from services.stock.working_copy import WorkingCopy
from services.stock.writer import StockWriter


async def grant(request: StockLoanRequested, writer: StockWriter, request_id: str) -> None:
    """Take off as many of the requested units as can be sold here, also none, and say so."""
    mesh = writer.mesh

    async def granted(careful: bool) -> WorkingCopy | None:
        if await mesh.last(StockLoanGranted, request.loan_id):
            return None
        copy = WorkingCopy(await writer.levels([request.sku], careful=careful), {})
        level = copy.level(request.sku)
        quantity = max(0, min(request.quantity, level.available))
        taken = levels.choose(level, quantity)
        grant = StockLoanGranted(
            loan_id=request.loan_id,
            sku=request.sku,
            quantity=quantity,
            borrower=request.borrower,
            lender=mesh.region,
            taken=taken,
        )
        copy.add(grant, Unchanged(StockLoanGranted, request.loan_id, 0))
        if taken:
            copy.change_level(levels.lent(level, taken, request.loan_id))
        return copy

    await writer.commit(granted, writer.cause("grant-loan", request_id))


async def receive(grant: StockLoanGranted, writer: StockWriter, grant_id: str) -> None:
    """Add the units of a loan; none of one that this region did not request so."""
    mesh = writer.mesh

    requested = await mesh.last(StockLoanRequested, grant.loan_id)
    if requested is None or not answers(grant, requested.event):
        log.error("units of a loan that was not requested here are not added", loan=grant.loan_id, lender=grant.lender)
        return

    async def received(careful: bool) -> WorkingCopy | None:
        if await mesh.last(StockLoanReceived, grant.loan_id):
            return None
        copy = WorkingCopy(await writer.levels([grant.sku], careful=careful), {})
        units: dict[str, int] = {}
        for one in grant.taken:
            name = name_here(one.warehouse, grant.lender, mesh)
            units[name] = units.get(name, 0) + one.quantity
        arrived = StockLoanReceived(
            loan_id=grant.loan_id,
            sku=grant.sku,
            quantity=sum(units.values()),
            borrower=grant.borrower,
            lender=grant.lender,
        )
        copy.add(arrived, Unchanged(StockLoanReceived, grant.loan_id, 0))
        before: StockLevelChanged = copy.level(grant.sku)
        copy.change_level(levels.borrowed(before, units, grant.loan_id))
        return copy

    await writer.commit(received, writer.cause("receive-loan", grant_id))


def answers(grant: StockLoanGranted, request: StockLoanRequested) -> bool:
    """Whether a loan is what was requested: of this lender and SKU, and no more units."""
    return (
        grant.lender == request.lender
        and grant.sku == request.sku
        and all(one.quantity > 0 for one in grant.taken)
        and sum(one.quantity for one in grant.taken) <= request.quantity
    )


def name_here(warehouse: str, lender: str, mesh: Mesh) -> str:
    """What a lender's warehouse is called here: `<region>:<warehouse>` of the region where the units lie."""
    home, separator, name = warehouse.rpartition(":")
    home = home if separator else lender
    return name if home == mesh.region else f"{home}:{name}"
