"""Bought lines: what of a cart its shopper has bought since it was added, on whichever device and in whichever region.

A page reports a cart whole, and does not know what was bought on another device or in another tab: it lists bought
pieces again. Of three pieces of which one was bought elsewhere, two are left to be offered. Where it cannot be known
whether a page knows of a purchase, the smaller number counts: a cart that lists one more than was bought is left with
one. Orders can be invented with a page's key, so that a purchase here takes pieces out of a cart and never brings any
back.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from mesh.envelope import Received
from mesh.events.cart import CartConverted, CartLine, CartUpdated
from mesh.events.order import PurchaseMarked
from mesh.history import History
from mesh.mesh import Mesh
from mesh.profiles import Purchases

REPEATED = timedelta(days=1)
"""For so long after its purchase a product that was gone and is back in the cart was not added again.

Shops empty a cart when it is ordered, and a tab that was open all the while lists its lines again.
"""

Purchase = Received[PurchaseMarked] | Received[CartConverted]


@dataclass(frozen=True)
class Bought:
    """How many pieces of a product that the cart lists are `left` to be bought, and a purchase that took others."""

    left: int
    purchase: Purchase


@dataclass
class _Added:
    """Pieces of a product that one update added."""

    quantity: int
    at: datetime
    sequence: int
    region: str


@dataclass
class _Listed:
    """The pieces of a product that the newest update lists, oldest first; while `gone`, those of the last that did."""

    pieces: list[_Added]
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


def bought_lines(history: History, marks: Iterable[Received[PurchaseMarked]]) -> dict[str, Bought]:
    """The products of which the cart listed pieces that its shopper bought since, with how many are left.

    `history` is the cart's. Pieces are added where an update lists a product for the first time, or more of it than
    before; all of them where it comes back more than a day after its purchase. An order takes as many pieces as it
    has, of those that were added before it, once, however often it is reported. A purchase came since when its time
    or, in one region, its place in the stream is later. One whose lines are not known (a refused order, a conversion
    without a mark) bought everything that the cart listed before.
    """
    updates = sorted(
        (one for one in history.of(CartUpdated) if one.event.refused is None),
        key=lambda one: (one.event_time, one.sequence),
    )
    purchases: list[Purchase] = list(marks)
    marked = {one.event.order_id for one in purchases}
    purchases += [one for one in history.of(CartConverted) if one.event.order_id not in marked]
    purchases.sort(key=lambda one: one.event_time)
    listed: dict[str, _Listed] = {}
    for update in updates:
        _list(listed, update, purchases)
    found = ((product_id, _bought(product_id, one.pieces, purchases)) for product_id, one in listed.items())
    return {product_id: bought for product_id, bought in found if bought}


def unbought_lines(lines: tuple[CartLine, ...], bought: dict[str, Bought]) -> tuple[CartLine, ...]:
    """The lines with no more pieces of each product than are left to be bought."""
    left = {product_id: one.left for product_id, one in bought.items()}
    kept = []
    for line in lines:
        quantity = min(line.quantity, left.get(line.product_id, line.quantity))
        if line.product_id in left:
            left[line.product_id] -= quantity
        if quantity:
            kept.append(line if quantity == line.quantity else msgspec.structs.replace(line, quantity=quantity))
    return tuple(kept)


def _list(listed: dict[str, _Listed], update: Received[CartUpdated], purchases: list[Purchase]) -> None:
    at = update.event_time
    quantities: dict[str, int] = defaultdict(int)
    for line in update.event.lines:
        quantities[line.product_id] += line.quantity
    for product_id in listed.keys() - quantities.keys():
        listed[product_id].gone = True
    for product_id, quantity in quantities.items():
        added = partial(_Added, at=at, sequence=update.sequence, region=update.region)
        before = listed.get(product_id)
        if before is None or (before.gone and not _is_repeated(product_id, at, before.pieces, purchases)):
            listed[product_id] = _Listed([added(quantity)])
        else:
            before.gone = False
            more = quantity - sum(one.quantity for one in before.pieces)
            before.pieces = [*before.pieces, added(more)] if more > 0 else _first(before.pieces, quantity)


def _first(pieces: list[_Added], quantity: int) -> list[_Added]:
    """So many of the pieces, those that were added first."""
    kept = []
    for one in pieces:
        if quantity > 0:
            kept.append(_Added(min(one.quantity, quantity), one.at, one.sequence, one.region))
        quantity -= one.quantity
    return kept


def _is_repeated(product_id: str, at: datetime, pieces: list[_Added], purchases: list[Purchase]) -> bool:
    bought = (one for one in purchases if _quantity(one, product_id) != 0 and _is_since(one, pieces[0]))
    return any(abs(at - one.event_time) <= REPEATED for one in bought)


def _bought(product_id: str, pieces: list[_Added], purchases: list[Purchase]) -> Bought | None:
    """Each order in turn takes pieces that were there before it."""
    orders: dict[str, list[Purchase]] = defaultdict(list)
    for one in purchases:
        orders[one.event.order_id].append(one)
    taken, by = 0, None
    for reports in orders.values():
        quantities = [_quantity(one, product_id) for one in reports]
        before = sum(one.quantity for one in pieces if any(_is_since(report, one) for report in reports))
        asked = before if None in quantities else max(quantity or 0 for quantity in quantities)
        if (now := min(before, taken + asked)) > taken:
            taken, by = now, by or reports[0]
    return Bought(sum(one.quantity for one in pieces) - taken, by) if by else None


def _quantity(purchase: Purchase, product_id: str) -> int | None:
    """How many pieces of a product it bought; None: all that there were."""
    known = purchase.event.bought if isinstance(purchase.event, PurchaseMarked) else {}
    return known.get(product_id, 0) if known else None


def _is_since(purchase: Purchase, added: _Added) -> bool:
    if purchase.event_time >= added.at:
        return True
    return purchase.region == added.region and purchase.sequence > added.sequence
