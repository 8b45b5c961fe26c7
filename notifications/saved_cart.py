"""Saved cart: the cart behind the link of a mail as it is now, and what has changed since the offer was made.

Lines are those of the cart's newest update, without what its shopper bought since and what cannot be bought any more,
with the prices of the catalogue. Nothing of it is personal.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from mesh import Mesh
from mesh.bought_lines import all_purchases, bought_lines, unbought_lines
from mesh.errors import InvalidKey
from mesh.events.cart import CartClosed, CartConverted, CartLine, CartUpdated
from mesh.events.code import Discount
from mesh.events.offer import OfferDecided
from mesh.history import History
from mesh.money import Money
from mesh.profiles import names_of, purchases_of, read_profile
from notifications.channels.content import current_content
from notifications.saved_cart_token import SavedCartLink
from notifications.template_variables import sum_of

Lines = Mapping[str, CartLine]


class CartChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A product that is not as it was when the offer was made.

    `price`: it costs another price for one piece. `quantity`: the shopper changed the pieces. `added`, `removed`: by
    the shopper. `bought`: bought since, all or some pieces. `sold_out`: it cannot be bought now.
    """

    kind: Literal["price", "quantity", "added", "removed", "bought", "sold_out"]
    product_id: str
    name: str | None = None
    price_before: Money | None = None
    price: Money | None = None
    quantity_before: int | None = None
    quantity: int | None = None


class SavedCart(msgspec.Struct, frozen=True, kw_only=True):
    """A cart as it can be bought now.

    `status`: `open` where there is something left to buy, `bought`, or `emptied` by its shopper or because nothing in
    it can be bought any more. `coupon` and `discount` are the offer's, while the cart is open.
    """

    cart_id: str
    status: Literal["open", "bought", "emptied"]
    lines: tuple[CartLine, ...] = ()
    total: Money | None = None
    coupon: str | None = None
    discount_percent: int = 0
    discount: Discount | None = None
    changes: tuple[CartChange, ...] = ()


async def read_saved_cart(link: SavedCartLink, mesh: Mesh) -> SavedCart | None:
    """The cart of a link; None where the log has not, or no longer, what it is about. Raises Unavailable."""
    history = await _history(link, mesh)
    offered = next((one for one in history.of(OfferDecided) if one.event.offer_id == link.offer_id), None)
    updated = history.last(CartUpdated)
    if offered is None or updated is None:
        return None
    cart = updated.event
    profile = await read_profile(mesh, cart.visitor_id, names_of(cart.customer_id))
    marks = await all_purchases(mesh, await purchases_of(mesh, profile.digests))
    bought = bought_lines(history, marks)
    left = () if _ended(history, updated.sequence) else unbought_lines(cart.lines, bought)
    unbought = msgspec.structs.replace(offered.event, lines=left, recommended=(), total=sum_of(left))
    now = await current_content(unbought, mesh)
    changes = tuple(_changes(_by_product(offered.event.lines), cart.lines, left, now.lines))
    if not now.lines:
        return SavedCart(
            cart_id=link.cart_id, status="bought" if cart.lines and not left else "emptied", changes=changes
        )
    return SavedCart(
        cart_id=link.cart_id,
        status="open",
        lines=now.lines,
        total=now.total,
        coupon=offered.event.coupon,
        discount_percent=offered.event.discount_percent,
        discount=offered.event.discount,
        changes=changes,
    )


async def _history(link: SavedCartLink, mesh: Mesh) -> History:
    try:
        if link.region == mesh.region:
            return await mesh.history(link.cart_id, "cart", "offer")
        return await mesh.history_elsewhere(link.region, link.cart_id, "cart", "offer")
    except InvalidKey:
        return History(link.cart_id, ())


def _ended(history: History, sequence: int) -> bool:
    """Whether the cart became an order, or its shopper bought elsewhere, after its newest update."""
    return any(one.sequence > sequence for kind in (CartConverted, CartClosed) for one in history.of(kind))


def _changes(
    offered: Lines, listed: tuple[CartLine, ...], left: tuple[CartLine, ...], current: tuple[CartLine, ...]
) -> Iterator[CartChange]:
    """Product by product: the offer's in their order, then what was added."""
    in_cart, unbought, buyable = _by_product(listed), _by_product(left), _by_product(current)
    for product_id, before in offered.items():
        change = _change(before, in_cart.get(product_id), unbought.get(product_id), buyable.get(product_id))
        if change is not None:
            yield change
    for product_id, line in buyable.items():
        if product_id not in offered:
            yield CartChange(
                kind="added", product_id=product_id, name=line.name, quantity=line.quantity, price=line.price
            )


def _change(
    before: CartLine, in_cart: CartLine | None, unbought: CartLine | None, buyable: CartLine | None
) -> CartChange | None:
    name, was = (buyable or before).name, before.quantity
    if in_cart is None:
        return CartChange(kind="removed", product_id=before.product_id, name=name, quantity_before=was)
    if unbought is None or unbought.quantity < in_cart.quantity:
        kept = buyable.quantity if buyable else 0
        return CartChange(kind="bought", product_id=before.product_id, name=name, quantity_before=was, quantity=kept)
    if buyable is None:
        return CartChange(kind="sold_out", product_id=before.product_id, name=name, quantity_before=was)
    if buyable.price != before.price:
        return CartChange(
            kind="price", product_id=before.product_id, name=name, price_before=before.price, price=buyable.price
        )
    if buyable.quantity != was:
        return CartChange(
            kind="quantity",
            product_id=before.product_id,
            name=name,
            quantity_before=was,
            quantity=buyable.quantity,
        )
    return None


def _by_product(lines: tuple[CartLine, ...]) -> dict[str, CartLine]:
    """The lines by product, those of one summed."""
    found: dict[str, CartLine] = {}
    for line in lines:
        known = found.get(line.product_id)
        quantity = line.quantity + (known.quantity if known else 0)
        found[line.product_id] = msgspec.structs.replace(line, quantity=quantity)
    return found
