"""Takes what storefronts send over HTTP into the mesh, and brings offers to the pages that are open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from mesh import Mesh, Received, Service
from mesh.events.cart import CartClosed, CartConverted
from mesh.events.connection import ConnectionReported
from mesh.events.offer import OfferDecided, OfferRequested, OfferSent
from mesh.events.order import OrderPlaced
from mesh.runtime.discovery import discover
from mesh.runtime.hosting import Hosted, hosting
from services.gateway.live import LiveOffers

if TYPE_CHECKING:
    from litestar import Litestar

service = Service("gateway", publishes=(OfferRequested, ConnectionReported), hosts=True, port=8080)


class Accepted(dict[str, Hosted]):
    """Every event that services accept from outside, by the name senders use."""


@service.resource
async def open_live_offers(mesh: Mesh) -> AsyncIterator[LiveOffers]:
    """The offers shown right now; open pages are let go first of all when the gateway is asked to stop."""
    offers = LiveOffers()
    mesh.on_drain.append(offers.close)
    requests = asyncio.create_task(offers.awaited.publish_requests(mesh))
    try:
        yield offers
    finally:
        requests.cancel()
        with suppress(asyncio.CancelledError):
            await requests


@service.resource
async def host_accepted(mesh: Mesh) -> AsyncIterator[Accepted]:
    """What the discovered services accept."""
    async with hosting(discover(), mesh) as hosted:
        yield Accepted(hosted)


@service.on(OfferDecided, OfferSent, CartConverted, CartClosed, OrderPlaced, fanout=True, since=timedelta(hours=1))
async def show_offers_live(received: Received, offers: LiveOffers) -> None:
    """Ask for an offer's card where its visitor has a page open, put it there, and take it away once they bought."""
    offers.apply(received)


@service.http
def app(mesh: Mesh, offers: LiveOffers, accepted: Accepted) -> "Litestar":
    """The storefront's HTTP interface."""
    from services.gateway.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, offers, accepted)
