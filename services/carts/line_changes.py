"""Line changes: shops that report what was added and removed get the whole cart that follows from it.

The newest `cart.updated` is the cart. A change that is newer is applied to it; one that comes late is put in its place
among all changes since the shop last sent a whole cart, or since the cart became an order. After a change that was
refused nobody knows what the cart holds, until the shop sends it whole or it becomes an order.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from mesh import Mesh, Received, Unchanged
from mesh.accept import Sent
from mesh.envelope import derive_id
from mesh.errors import InvalidField
from mesh.events.cart import CartClosed, CartConverted, CartLine, CartLineAdded, CartLineRemoved, CartUpdated
from services.carts.rules import LATE

LineChange = CartLineAdded | CartLineRemoved
Lines = dict[str, CartLine]
MOST_LINES = 200
MOST_PIECES = 1000
ENDS = (CartConverted, CartClosed)
KINDS = (CartUpdated, CartLineAdded, CartLineRemoved, *ENDS)


async def changed_cart(sent: Sent[LineChange], mesh: Mesh) -> tuple[Sent[CartUpdated], list[Unchanged]]:
    """The whole cart after a change, as if the shop had sent it, and what must still be so when it is stored.

    Raises InvalidField for what a cart cannot hold.
    """
    change = sent.event
    newest = await mesh.last(CartUpdated, change.cart_id)
    ends = [await mesh.last(kind, change.cart_id) for kind in ENDS]
    watched = [
        Unchanged(kind, change.cart_id, one.sequence if one else 0)
        for kind, one in zip((CartUpdated, *ENDS), (newest, *ends), strict=True)
    ]
    known = [one for one in (newest, *ends) if one]
    # What came late, as history does, may stand behind what is newer than it: then the last is not the newest.
    if any(one.time >= sent.time or one.stored - one.time > LATE for one in known):
        history = await mesh.history(change.cart_id, *KINDS)
        lines, refused = _told_again([*history], sent)
    else:
        ended = newest and any(one.sequence > newest.sequence or one.time >= newest.time for one in ends if one)
        lines, refused = _lines_of(None if newest is None or ended else newest.event)
        _apply(change, lines)
    _check(change, lines)
    whole = CartUpdated(
        cart_id=change.cart_id,
        visitor_id=change.visitor_id,
        lines=() if refused else tuple(lines.values()),
        refused=refused,
        session_id=change.session_id,
        customer_id=change.customer_id,
        device=change.device,
        utc_offset=change.utc_offset,
    )
    latest = max([sent.time, *([newest.time] if newest else [])])
    updated = Sent(
        event=whole,
        id=whole_id(sent.id),
        time=latest,
        received=sent.received,
        by=sent.by,
        attempt=sent.attempt,
    )
    return updated, watched


def whole_id(change_id: str) -> str:
    """The id of the `cart.updated` that follows from a change."""
    return derive_id(change_id, "carts", "whole")


def _lines_of(cart: CartUpdated | None) -> tuple[Lines, str | None]:
    """What a whole cart holds, and why that is not known."""
    return {line.product_id: line for line in cart.lines} if cart else {}, cart.refused if cart else None


def _told_again(history: list[Received], sent: Sent[LineChange]) -> tuple[Lines, str | None]:
    """The lines after all changes in the order of their times, with one more among them."""
    followed = {whole_id(one.id) for one in history if isinstance(one.event, CartLineAdded | CartLineRemoved)}
    told = [(one.time, one.sequence, one.event) for one in history if one.id not in followed]
    last = max((one.sequence for one in history), default=0) + 1
    return told_in_order([*told, (sent.time, last, sent.event)])


def told_in_order(changes: Iterable[tuple[datetime, int, msgspec.Struct]]) -> tuple[Lines, str | None]:
    """The lines after whole carts, changes and ends, by their times and then their places in the log.

    The second value is why they are not known: a report was refused, and no whole cart or order came after it.
    """
    lines: Lines = {}
    refused: str | None = None
    for _, _, event in sorted(changes, key=lambda one: one[:2]):
        match event:
            case CartUpdated():
                lines, refused = _lines_of(event)
            case CartLineAdded() | CartLineRemoved():
                _apply(event, lines)
            case CartConverted() | CartClosed():
                lines, refused = {}, None
    return lines, refused


def _apply(change: LineChange, lines: Lines) -> None:
    before = lines.get(change.product_id)
    if isinstance(change, CartLineAdded):
        # What is said last of a product holds, where it is said: its price, its name.
        told = {name: getattr(change, name) for name in CartLine.__struct_fields__}
        kept = {name: value for name, value in told.items() if value is not None}
        quantity = change.quantity + (before.quantity if before else 0)
        earlier = msgspec.structs.asdict(before) if before else {}
        lines[change.product_id] = CartLine(**(earlier | kept | {"quantity": quantity}))
    elif before is not None:
        left = before.quantity - change.quantity if change.quantity else 0
        if left > 0:
            lines[change.product_id] = msgspec.structs.replace(before, quantity=left)
        else:
            del lines[change.product_id]


def _check(change: LineChange, lines: Lines) -> None:
    found = sorted({line.price.currency for line in lines.values()})
    if len(found) > 1:
        raise InvalidField("$.price.currency", f"a cart has one currency, not {' and '.join(found)}")
    if len(lines) > MOST_LINES:
        raise InvalidField("$.product_id", f"a cart has at most {MOST_LINES} lines")
    line = lines.get(change.product_id)
    if line is not None and line.quantity > MOST_PIECES:
        raise InvalidField("$.quantity", f"at most {MOST_PIECES} pieces of a product, not {line.quantity}")
