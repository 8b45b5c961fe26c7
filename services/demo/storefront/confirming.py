"""Confirming: the shop's server confirms the orders that its pages report, so that they count as revenue."""

import msgspec

from mesh import Received
from mesh.events.order import OrderPlaced
from services.demo.storefront.catalogue import find, money
from services.demo.storefront.shop_server import ShopServer


def is_genuine(placed: OrderPlaced) -> bool:
    """Whether the shop sells these products at these prices: a page may claim anything."""
    for line in placed.lines:
        sold = find(line.product_id)
        if sold is None or line.price.currency not in sold.price or money(sold, line.price.currency) != line.price:
            return False
    return placed.total.amount <= sum(line.price.amount * line.quantity for line in placed.lines)


async def confirm(received: Received[OrderPlaced], server: ShopServer) -> None:
    """Confirm an order of this shop. Raises Retry while the gateway takes nothing."""
    placed = received.event
    if not server.has_key or placed.by != "page" or not is_genuine(placed):
        return
    order = {name: value for name, value in msgspec.to_builtins(placed).items() if name != "by"}
    head = {"id": f"confirmed-{placed.order_id}"[:128], "type": "order_confirmed", "time": received.stored}
    await server.report(order | head)
