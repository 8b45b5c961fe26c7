"""Commands about payments."""

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cyclopts import App

PATIENCE = timedelta(minutes=10)


def commands(app: App) -> None:
    """Add them to the root command."""
    payments = App(name="payments", help="Payments beside the provider's books.")
    payments.command(reconcile)
    app.command(payments)


def reconcile(*, region: str, day: str | None = None, servers: Path | None = None) -> None:
    """Compare the provider's books of a day with a region's orders and payments. Ends with 1 where they differ.

    Parameters
    ----------
    region
        Where.
    day
        Which day (UTC), such as 2026-05-01; yesterday when not given.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.events.payment import PaymentReconciled  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.topology.access import Access  # noqa: PLC0415  the same
    from mesh.topology.connect import connect  # noqa: PLC0415  the same
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415  the same
    from services.payments.reconciliation import Day  # noqa: PLC0415  the same

    asked = Day(day=date.fromisoformat(day) if day else datetime.now(UTC).date() - timedelta(days=1))

    async def work() -> PaymentReconciled:
        mesh = await connect(Access.find(servers), region, OPERATOR)
        try:
            return await mesh.ask("payments", "reconcile-day", asked, PaymentReconciled, within=PATIENCE)
        finally:
            await mesh.broker.drain()

    found = asyncio.run(work())
    for one in found.differences:
        print(f"{one.kind}  order {one.order_id}  payment {one.payment_id}  {one.provider_id or '-'}  {one.detail}")
    print(f"{region} {found.day}: {found.compared} charges of {found.provider}, {len(found.differences)} differences")
    if found.differences:
        sys.exit(1)
