"""Takes what a shop's systems already send: Segment's libraries, Shopify, CloudEvents, brokers and others."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service
from mesh.events.connection import ConnectionReported
from services.connect.seen_requests import SeenRequests

if TYPE_CHECKING:
    from mesh.translate import Adapter, Feed
    from mesh.web.console import Console

service = Service("connect", port=8220)


@service.translates(
    "segment",
    "/v1/track",
    "/v1/identify",
    "/v1/page",
    "/v1/screen",
    "/v1/group",
    "/v1/alias",
    "/v1/batch",
    "/v1/import",
    "/v1/t",
    "/v1/i",
    "/v1/p",
)
def segment() -> "Adapter":
    """Calls of the Segment spec, as its libraries send them."""
    from services.connect.segment import adapter  # noqa: PLC0415  read only where requests are taken

    return adapter()


@service.translates("shopify", "/v1/shopify")
def shopify() -> "Adapter":
    """Webhooks of Shopify: carts, checkouts, orders, products and customers."""
    from services.connect.shopify import adapter  # noqa: PLC0415  see above

    return adapter()


@service.translates("woocommerce", "/v1/woocommerce")
def woocommerce() -> "Adapter":
    """Webhooks of WooCommerce: orders, products and customers."""
    from services.connect.woocommerce import adapter  # noqa: PLC0415  see above

    return adapter()


@service.translates("stripe", "/v1/stripe")
def stripe() -> "Adapter":
    """Webhooks of Stripe: checkouts that were paid."""
    from services.connect.stripe import adapter  # noqa: PLC0415  see above

    return adapter()


@service.translates("aftership", "/v1/aftership")
def aftership() -> "Adapter":
    """Webhooks of AfterShip: what carriers report of parcels."""
    from services.connect.aftership import adapter  # noqa: PLC0415  see above

    return adapter()


@service.translates("cloudevents", "/v1/cloudevents")
def cloudevents() -> "Adapter":
    """CloudEvents over HTTP: binary, structured and in batches."""
    from services.connect.cloudevents import adapter  # noqa: PLC0415  see above

    return adapter()


@service.fetches
def brokers() -> "list[Feed]":
    """Messages of RabbitMQ, Kafka and SQS, from the queues and topics that the operator declares."""
    from services.connect.brokers.sources import declared_sources  # noqa: PLC0415  see above

    return declared_sources()


@service.resource
async def open_seen_requests(mesh: Mesh) -> AsyncIterator[SeenRequests]:
    """What came in, and whoever looks."""
    seen = SeenRequests()
    mesh.on_drain.append(seen.pages.close)
    yield seen


@service.on(ConnectionReported, fanout=True, since=timedelta(days=1), batch=500, linger=timedelta(0))
async def show_requests(batch: list[Received[ConnectionReported]], seen: SeenRequests) -> None:
    """Show what the gateways report."""
    for received in batch:
        seen.add(received)


@service.page("/connections", title="Connections", role="viewer", section="Operations", position=1)
def connections_page(console: "Console", seen: SeenRequests) -> list[Any]:
    """What came in from the shop's systems, what was refused and why, live; how each source is connected."""
    from services.connect.page import page_routes  # noqa: PLC0415  brings Litestar, which other processes do not need

    return page_routes(console, seen)
