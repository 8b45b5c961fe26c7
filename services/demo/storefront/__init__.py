"""A small shop for tea and pottery, to try the mesh with: its pages send what shoppers do and show them offers."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from mesh import Mesh, Service
from mesh.events.mesh import ViewsSimulated
from mesh.events.user import Recommendations, RecommendationsRequest, UserScored
from services.demo.storefront.order_client import OrderClient, open_order_client
from services.demo.storefront.picks import Picks
from services.demo.storefront.saved_carts import SavedCarts, open_saved_carts
from services.demo.storefront.seeding import Seeding, seed
from services.demo.storefront.shop_server import ShopServer, open_server

if TYPE_CHECKING:
    from litestar import Litestar

service = Service("storefront", publishes=(ViewsSimulated,), asks=("scoring",), demo=True, port=8110)


@service.resource
async def open_picks(mesh: Mesh) -> AsyncIterator[Picks]:
    """What each visitor may like, as scoring last answered."""

    async def ask(request: RecommendationsRequest) -> Recommendations:
        return await mesh.ask("scoring", "recommend-products", request, Recommendations)

    picks = Picks(ask)
    try:
        yield picks
    finally:
        picks.close()


@service.resource
async def seed_gateway(mesh: Mesh) -> AsyncIterator[Seeding]:
    """The catalogue on its way to the region's gateway, and the shop's past where that is wanted."""
    async with seed(mesh) as seeding_state:
        yield seeding_state


@service.resource
async def open_shop_server() -> AsyncIterator[ShopServer]:
    """The shop's server, which reports what signed-in shoppers allow."""
    async with open_server() as server:
        yield server


@service.resource
async def open_orders() -> AsyncIterator[OrderClient]:
    """The shop's server before the interfaces of orders."""
    async with open_order_client() as client:
        yield client


@service.resource
async def open_carts() -> AsyncIterator[SavedCarts | None]:
    """The shop's server before the interface behind the links of mails."""
    async with open_saved_carts() as carts:
        yield carts


@service.on(UserScored, fanout=True)
async def show_picks_live(scored: UserScored, picks: Picks) -> None:
    """Show a visitor's open pages what they may like now; who has none open costs nothing."""
    if picks.pages_of(scored.visitor_id):
        picks.refresh(scored.visitor_id, after=scored.last_event_id)


@service.http
def app(mesh: Mesh, picks: Picks, server: ShopServer, orders: OrderClient, carts: SavedCarts | None) -> "Litestar":
    """The shop's pages."""
    from services.demo.storefront.allowing import serve_allowing  # noqa: PLC0415  see below
    from services.demo.storefront.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need
    from services.demo.storefront.picks_stream import stream_picks  # noqa: PLC0415  the same

    return build(mesh, (stream_picks(picks), serve_allowing(server)), orders, carts)
