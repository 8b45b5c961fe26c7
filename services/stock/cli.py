"""The command `cartmesh stock`."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from mesh.topology.access import Access
    from services.stock.audit import StockAudit


def commands(app: App) -> None:
    """Add it to the root command."""
    stock = App(name="stock", help="Units in the warehouses of all regions.")
    stock.command(audit)
    app.command(stock)


def audit(
    *, servers: Path | None = None, sku: str | None = None, json: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """Add up every region's log and compare it with the levels: no unit may be reserved or sold twice. 1: one was.

    Parameters
    ----------
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    sku
        Show only this one; all are audited.
    json
        Print JSON instead of a table.
    """
    import msgspec  # noqa: PLC0415  what a command needs is loaded when it runs

    from mesh.topology.access import Access  # noqa: PLC0415
    from services.stock.audit import in_flight  # noqa: PLC0415
    from services.stock.audit_report import report_of  # noqa: PLC0415

    audits = asyncio.run(_audits(Access.find(servers)))
    report = report_of(audits, in_flight(audits), sku)
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        print(report.table())
    if report.violations:
        sys.exit(1)


async def _audits(access: "Access") -> "list[StockAudit]":
    from mesh.topology.connect import connect  # noqa: PLC0415  loaded when the command runs
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415  the same
    from services.stock.audit import StockAudit, read_audited  # noqa: PLC0415  the same

    async def audited(region: str) -> StockAudit:
        mesh = await connect(access, region, OPERATOR)
        try:
            made = StockAudit(region)
            async for received in read_audited(mesh):
                made.apply(received)
            return made
        finally:
            await mesh.broker.drain()

    # Lenders are read last: what has come to a borrower has left its lender before.
    borrowers = await asyncio.gather(*(audited(region) for region in access.regions))
    lenders = await asyncio.gather(*(audited(region) for region in access.regions))
    for made, later in zip(borrowers, lenders, strict=True):
        made.granted = later.granted
    return list(borrowers)
