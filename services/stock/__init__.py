"""Keeps the stock of a region's warehouses, reserves it for orders and sells it: no unit is sold twice."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service, settings
from mesh.events.stock import (
    StockCommandApplied,
    StockLevelChanged,
    StockLoanGranted,
    StockLoanReceived,
    StockLoanRequested,
    StockLowReached,
    StockReleaseRequested,
    StockReplenished,
    StockReservationChanged,
    StockReservationExpired,
    StockReservationPostponed,
    StockReservationRequested,
    StockSaleRequested,
)
from services.stock.auditor import Auditor
from services.stock.lending import grant, receive
from services.stock.requests import Request
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

if TYPE_CHECKING:
    from litestar import Litestar

    from mesh.web.console import Console

service = Service(
    "stock",
    publishes=(
        StockCommandApplied,
        StockLevelChanged,
        StockLoanGranted,
        StockLoanReceived,
        StockLoanRequested,
        StockLowReached,
        StockReplenished,
        StockReservationChanged,
        StockReservationExpired,
        StockReservationPostponed,
    ),
    timers=(StockReservationExpired, StockReservationPostponed),
    port=8140,
)


@service.resource
async def open_writer(mesh: Mesh) -> AsyncIterator[StockWriter]:
    """What changes the region's stock."""
    yield StockWriter(mesh, settings.read(StockSettings))


@service.resource
async def open_auditor(mesh: Mesh) -> AsyncIterator[Auditor]:
    """What audits the region's stock."""
    yield Auditor(mesh)


@service.on(
    StockReservationRequested,
    StockReservationPostponed,
    StockReleaseRequested,
    StockSaleRequested,
    StockReservationExpired,
    batch=200,
    linger=timedelta(milliseconds=5),
    ack_wait=timedelta(seconds=10),
)
async def decide_requests(received: list[Received[Request]], writer: StockWriter) -> None:
    """Reserve, release and sell: what comes at one moment is decided in one commit, however many want the same SKU."""
    await writer.decide(received)


@service.on(StockLoanRequested, reach="mesh", ack_wait=timedelta(seconds=10))
async def grant_loan(received: Received[StockLoanRequested], writer: StockWriter) -> None:
    """Units that another region wants, and that can be sold here, are taken off for it."""
    request = received.event
    if request.lender == writer.mesh.region != request.borrower == received.region:
        await grant(request, writer, received.id)


@service.on(StockLoanGranted, reach="mesh", ack_wait=timedelta(seconds=10))
async def receive_loan(received: Received[StockLoanGranted], writer: StockWriter) -> None:
    """Units that another region has taken off for this one are added to the stock."""
    loan = received.event
    if loan.borrower == writer.mesh.region != loan.lender == received.region:
        await receive(loan, writer, received.id)


@service.every(timedelta(seconds=10))
async def audit_stock(_: datetime, auditor: Auditor, writer: StockWriter) -> None:
    """Compare the levels with what happened, and keep levels that would be forgotten."""
    await auditor.look()
    await auditor.restate(writer)


@service.http
def app(mesh: Mesh, writer: StockWriter, auditor: Auditor) -> "Litestar":
    """Commands of the shop's servers, and what there is."""
    from services.stock.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, writer, auditor)


@service.page("/stock", title="Stock", role="viewer", section="Shop")
def stock_page(console: "Console", mesh: Mesh, writer: StockWriter, auditor: Auditor) -> list[Any]:
    """Units of each product by warehouse and region; receive, adjust, count and transfer them; what the audit found."""
    from services.stock.page import page_routes  # noqa: PLC0415  see above

    return page_routes(console, mesh, writer, auditor)
