"""Takes what a shop's systems already send: Segment's libraries, Shopify, WooCommerce, Stripe, CloudEvents."""

from typing import TYPE_CHECKING

from mesh import Service

if TYPE_CHECKING:
    from mesh.translate import Adapter

service = Service("connect")


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
