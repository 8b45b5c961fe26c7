"""Bought lines: what of a cart its shopper has bought since it was added, on whichever device and in whichever region.

A page reports a cart whole, and does not know what was bought on another device or in another tab: it lists bought
lines again. Orders can be invented with a page's key, so that a purchase here takes lines out of a cart and never
brings any back.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh.envelope import Received
from mesh.events.cart import CartConverted, CartLine, CartUpdated
from mesh.events.order import PurchaseMarked
from mesh.history import History
from mesh.mesh import Mesh
from mesh.profiles import Purchases

REPEATED = timedelta(days=1)
"""For so long after its purchase a product that is back in the cart, in no larger number, was not added again.

Shops empty a cart when it is ordered, and a tab that was open all the while lists its lines again.
"""

Purchase = Received[PurchaseMarked] | Received[CartConverted]


@dataclass
class _Added:
    quantity: int
    at: datetime
    sequence: int
    region: str
    gone: bool = False


async def all_purchases(mesh: Mesh, purchases: Purchases) -> list[Received[PurchaseMarked]]:
    """Every purchase under the names under which there is any, of which `purchases` are the newest. Raises Unavailable.

    Here those before the newest may be some milliseconds old; of other regions it is what has arrived.
    """
    newest = {place: mark for place, mark in purchases.items() if mark is not None}
    found = await asyncio.gather(*(mesh.all_of(PurchaseMarked, digest, region=region) for region, digest in newest))
    known = {
        (mark.region, mark.sequence): mark for mark in (*newest.values(), *(one for part in found for one in part))
    }
    return sorted(known.values(), key=lambda mark: (mark.event_time, mark.region, mark.sequence))


def bought_lines(history: History, marks: Iterable[Received[PurchaseMarked]]) -> dict[str, Purchase]:
    """The products that the cart listed and its shopper bought since, each with a purchase that says so.

    `history` is the cart's. A product is added where an update lists it for the first time, again, or in a larger
    number. A purchase came since when its time or, in one region, its place in the stream is later. One whose lines
    are not known (a refused order, a conversion without a mark) bought everything that the cart listed before.
    """
    updates = sorted(
        (one for one in history.of(CartUpdated) if one.event.refused is None),
        key=lambda one: (one.event_time, one.sequence),
    )
    purchases: list[Purchase] = list(marks)
    marked = {one.event.order_id for one in purchases}
    purchases += [one for one in history.of(CartConverted) if one.event.order_id not in marked]
    listed: dict[str, _Added] = {}
    for update in updates:
        _list(listed, update, purchases)
    bought = {product_id: _purchase_of(product_id, added, purchases) for product_id, added in listed.items()}
    return {product_id: purchase for product_id, purchase in bought.items() if purchase}


def unbought_lines(lines: tuple[CartLine, ...], bought: dict[str, Purchase]) -> tuple[CartLine, ...]:
    """The lines that are not bought."""
    return tuple(line for line in lines if line.product_id not in bought)


def _list(listed: dict[str, _Added], update: Received[CartUpdated], purchases: list[Purchase]) -> None:
    at = update.event_time
    quantities: dict[str, int] = {}
    for line in update.event.lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    for product_id in listed.keys() - quantities.keys():
        listed[product_id].gone = True
    for product_id, quantity in quantities.items():
        before = listed.get(product_id)
        if (
            before is None
            or quantity > before.quantity
            or (before.gone and not _is_repeated(product_id, at, before, purchases))
        ):
            listed[product_id] = _Added(quantity, at, update.sequence, update.region)
        else:
            before.quantity, before.gone = quantity, False


def _is_repeated(product_id: str, at: datetime, before: _Added, purchases: list[Purchase]) -> bool:
    bought = (one for one in purchases if _includes(one, product_id) and _is_since(one, before))
    return any(abs(at - one.event_time) <= REPEATED for one in bought)


def _purchase_of(product_id: str, added: _Added, purchases: list[Purchase]) -> Purchase | None:
    return next((one for one in purchases if _includes(one, product_id) and _is_since(one, added)), None)


def _includes(purchase: Purchase, product_id: str) -> bool:
    known = purchase.event.product_ids if isinstance(purchase.event, PurchaseMarked) else ()
    return not known or product_id in known


def _is_since(purchase: Purchase, added: _Added) -> bool:
    if purchase.event_time >= added.at:
        return True
    return purchase.region == added.region and purchase.sequence > added.sequence
