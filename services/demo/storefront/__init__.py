"""A small shop for tea and pottery, to try the mesh with: its pages tell what shoppers do and show them offers."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from mesh import Mesh, Received, Service
from mesh.events.user import UserScored
from services.demo.storefront.picks import Picks
from services.demo.storefront.telling import Telling, speaking

if TYPE_CHECKING:
    from litestar import Litestar

service = Service("storefront", demo=True)


@service.resource
async def open_picks() -> AsyncIterator[Picks]:
    """What each visitor may like, as last heard."""
    picks = Picks()
    try:
        yield picks
    finally:
        picks.close()


@service.resource
async def tell_gateway(mesh: Mesh) -> AsyncIterator[Telling]:
    """The catalogue on its way to the region's gateway, and the shop's past where that is wanted."""
    async with speaking(mesh.region) as told:
        yield told


@service.on(UserScored, fanout=True, since=timedelta(minutes=10))
async def show_picks_live(received: Received[UserScored], picks: Picks) -> None:
    """Show a visitor's open pages what they may like now."""
    picks.hear(received)


@service.http
def app(mesh: Mesh, picks: Picks) -> "Litestar":
    """The shop's pages."""
    from services.demo.storefront.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need
    from services.demo.storefront.picks_stream import stream_picks  # noqa: PLC0415  the same

    return build(mesh, (stream_picks(picks),))
