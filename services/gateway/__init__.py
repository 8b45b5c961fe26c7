"""Takes what storefronts tell over HTTP into the mesh, and brings offers to open pages the moment they are sent."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from mesh import Mesh, Received, Service
from mesh.events.cart import CartClosed, CartConverted, CartIdle, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.offer import OfferSent
from mesh.events.order import OrderPlaced, PurchaseMarked
from mesh.events.product import ProductListed
from services.gateway.live import Board

if TYPE_CHECKING:
    from litestar import Litestar

service = Service(
    "gateway",
    publishes=(
        ProductViewed,
        ProductSearched,
        CheckoutStarted,
        CartUpdated,
        CartIdle,
        OrderPlaced,
        PurchaseMarked,
        CartConverted,
        CustomerIdentified,
        ConsentChanged,
        ProductListed,
    ),
)


@service.resource
async def open_board(mesh: Mesh) -> AsyncIterator[Board]:
    """The offers shown right now; open pages are let go first of all when the gateway is asked to stop."""
    board = Board()
    mesh.on_drain.append(board.close)
    yield board


@service.on(OfferSent, CartConverted, CartClosed, OrderPlaced, fanout=True, since=timedelta(hours=1))
async def show_offers_live(received: Received, board: Board) -> None:
    """Put an offer on its visitor's open pages, and take it away once they bought."""
    board.hear(received)


@service.http
def app(mesh: Mesh, board: Board) -> "Litestar":
    """The storefront's HTTP interface."""
    from services.gateway.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, board)
