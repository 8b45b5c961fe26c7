"""Exported: what this region has stored of somebody, as events, to hand to whoever asks what is held of them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from mesh import Mesh, Received
from mesh.event import declaration_of
from mesh.events.cart import CartConverted
from mesh.profiles import read_profile

OF_CART = ("cart", "offer")
"""The domains whose events stand under a cart's id."""


async def export_person(mesh: Mesh, visitor_id: str) -> bytes:
    """JSON: what they said on each device, their carts with the offers for them, and the orders of these carts.

    Not in it are dead letters and what services keep in buckets: the command `cartmesh profile export` prints those
    too. Raises Unavailable, InvalidKey for what can be no visitor's id.
    """
    profile = await read_profile(mesh, visitor_id)
    visitors = sorted(profile.visitors)
    said = {visitor: _events(await mesh.history(visitor, "customer")) for visitor in visitors}
    carts: dict[str, list[dict[str, Any]]] = {}
    orders = set[str]()
    for cart in sorted(profile.carts):
        found = [*await mesh.history(cart, *OF_CART)]
        for region in mesh.others:
            found += await mesh.history_elsewhere(region, cart, *OF_CART)
        carts[cart] = _events(found)
        orders |= {one.event.order_id for one in found if isinstance(one.event, CartConverted)}
    held = {
        "region": mesh.region,
        "visitors": visitors,
        "regions": sorted(profile.regions),
        "said": said,
        "carts": carts,
        "orders": {order: _events(await mesh.history(order, "order")) for order in sorted(orders)},
    }
    return msgspec.json.format(msgspec.json.encode(held), indent=2)


def _events(received: Iterable[Received]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "type": declaration_of(type(one.event)).type,
            "time": one.time.isoformat(),
            "region": one.region,
            "data": msgspec.to_builtins(one.event),
        }
        for one in received
    ]
