"""Shows what the mesh does now: regions, links, services, rates, the funnel and its money, offers, dead letters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service, settings
from mesh.events.cart import CartAbandoned, CartRecovered, CartUpdated
from mesh.events.mesh import MeshMeasured, ServiceReported, ServiceStarted, ServiceStopped, ViewsSimulated
from mesh.events.offer import OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from mesh.operations.service_states import REMEMBERED
from mesh.runtime.discovery import discover
from mesh.streams import DEAD
from services.operations.board.board import Board
from services.operations.board.live import Live, LiveSettings

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service("board", reads=(DEAD,), port=8100)


@service.resource
async def open_board(mesh: Mesh) -> AsyncIterator[Board]:
    """The state of the mesh, from what has been received."""
    yield Board(mesh, [one.name for one in discover() if one.needs_process and not one.demo])


@service.resource
async def open_live(mesh: Mesh, board: Board) -> AsyncIterator[Live]:
    """Whoever looks."""
    live = Live(board.state_as_json, settings.read(LiveSettings))
    mesh.on_drain.append(live.close)
    sending = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


@service.on(
    CartUpdated,
    CartAbandoned,
    CartRecovered,
    OfferDecided,
    OfferSent,
    OfferDeferred,
    OfferFailed,
    OfferWithdrawn,
    ViewsSimulated,
    reach="mesh",
    fanout=True,
    since=timedelta(hours=1),
    consumer_per_event=True,  # the folds do not care for order, and the hour is read ten times as fast
    batch=500,
    linger=timedelta(0),
)
async def show_carts_and_offers(batch: list[Received], board: Board, live: Live) -> None:
    """Count carts and offers of all regions on their way from a view to a purchase."""
    for received in batch:
        board.add(received)
    live.touch()


@service.on(
    MeshMeasured,
    reach="mesh",
    fanout=True,
    since=timedelta(minutes=10),
    batch=500,
    linger=timedelta(0),
)
async def show_measurements(batch: list[Received], board: Board, live: Live) -> None:
    """Show rates, lags and staleness as each region measured them."""
    for received in batch:
        board.add(received)
    live.touch()


@service.on(
    ServiceStarted,
    ServiceReported,
    ServiceStopped,
    reach="mesh",
    fanout=True,
    since=REMEMBERED,
    batch=500,
    linger=timedelta(0),
)
async def show_services(batch: list[Received], board: Board, live: Live) -> None:
    """Show which services run where, and how often they were restarted."""
    for received in batch:
        board.add(received)
    live.touch()


@service.every(timedelta(seconds=1))
async def show_dead_letters(_: datetime, board: Board, live: Live) -> None:
    """Look for dead letters of the own region that came or were redriven."""
    if await board.dead_letters.look():
        live.touch()


@service.page("/board", title="Live", role="viewer", section="Operations")
def board_page(console: "Console", board: Board, live: Live) -> list[Any]:
    """What every region does right now: links, services, rates, the funnel with its money, offers, dead letters."""
    from services.operations.board.app import routes  # noqa: PLC0415  brings Litestar, which others do not need

    return routes(console, board, live)
