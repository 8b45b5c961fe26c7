"""Reduced: the lines of an order as the code that is redeemed with it leaves them.

An order has one line for each product and one price for all pieces of it, so that pieces which are cancelled or
returned cost what was charged for them. A fixed amount is therefore spread over the prices, and what cannot be spread
is not taken off: less than one minor unit for each piece. As an order has no shipping cost, free shipping is only
noted.
"""

import asyncio
from datetime import timedelta

import msgspec

from mesh import Mesh, Money
from mesh.discounts import taken_off
from mesh.errors import InvalidField, Unavailable
from mesh.events.cart import CartLine
from mesh.events.code import ClaimCode, CodeClaimed, OrderCode
from mesh.events.product import ProductListed
from services.orders.taking import NewOrder, total_of

PATIENCE = timedelta(seconds=4)
"""How long the code's answer is waited for: longer than promotions wait for another region."""
REFUSED = "this code cannot be redeemed"


async def claimed(new: NewOrder, order_id: str, total: Money, mesh: Mesh) -> CodeClaimed:
    """The order's code, reserved for it. Raises InvalidField for one that it cannot have, Unavailable."""
    held = await mesh.ask(
        "promotions", "claim-code", _claim(new, order_id, total, "reserve"), CodeClaimed, within=PATIENCE
    )
    if held.outcome == "unknown":
        raise Unavailable("the coupon cannot be checked now, as its region cannot be reached")
    if held.outcome != "reserved" or held.discount is None:
        raise InvalidField("$.coupon", REFUSED)
    return held


async def given_back(new: NewOrder, order_id: str, mesh: Mesh) -> None:
    """The order was not taken: its code is free again."""
    await mesh.ask("promotions", "claim-code", _claim(new, order_id, None, "release"), CodeClaimed, within=PATIENCE)


async def reduced(lines: tuple[CartLine, ...], held: CodeClaimed, mesh: Mesh) -> tuple[CartLine, ...]:
    """The lines with what the code takes off. Raises InvalidField where its gift cannot be had."""
    discount = held.discount
    if discount is None:
        return lines
    match discount.kind:
        case "percentage":
            made = tuple(_priced(one, (one.price.amount * (100 - discount.percent) + 50) // 100) for one in lines)
            most = taken_off(discount, total_of(lines)).amount
            bound = discount.at_most and total_of(lines).amount - total_of(made).amount > most
            return spread(lines, most) if bound else made
        case "amount":
            return spread(lines, taken_off(discount, total_of(lines)).amount)
        case "gift" if discount.product_id:
            return await _with_gift(lines, discount.product_id, mesh)
        case _:
            return lines


def spread(lines: tuple[CartLine, ...], off: int) -> tuple[CartLine, ...]:
    """Take an amount in minor units off, in proportion to what the lines cost; never more than that."""
    total = total_of(lines).amount
    if total <= 0:
        return lines
    made = [_priced(one, -(-one.price.amount * (total - off) // total)) for one in lines]
    left = total_of(tuple(made)).amount - (total - off)
    for at, one in sorted(enumerate(made), key=lambda item: -item[1].quantity):
        less = min(left // one.quantity, one.price.amount)
        made[at] = _priced(one, one.price.amount - less)
        left -= less * one.quantity
    return tuple(made)


def order_code(held: CodeClaimed, full: tuple[CartLine, ...], lines: tuple[CartLine, ...]) -> OrderCode | None:
    """What the order says of its code."""
    if held.discount is None:
        return None
    off = total_of(full).amount - total_of(lines).amount
    total = total_of(full)
    return OrderCode(
        code_id=held.code_id, home=held.home, discount=held.discount, off=msgspec.structs.replace(total, amount=off)
    )


async def _with_gift(lines: tuple[CartLine, ...], product_id: str, mesh: Mesh) -> tuple[CartLine, ...]:
    """One piece more, at no price. Of a product that is in the order already one piece is given away."""
    if any(one.product_id == product_id for one in lines):
        return tuple(
            _priced(one, one.price.amount * (one.quantity - 1) // one.quantity) if one.product_id == product_id else one
            for one in lines
        )
    regions = (mesh.region, *mesh.others)
    listed = await asyncio.gather(*(mesh.last(ProductListed, product_id, region=region) for region in regions))
    newest = max((one for one in listed if one), key=lambda one: one.event_time, default=None)
    if newest is None or not newest.event.available:
        raise InvalidField("$.coupon", "the gift of this code cannot be had now; order without the code, or later")
    product = newest.event
    price = Money(amount=0, currency=lines[0].price.currency)
    gift = CartLine(product_id=product_id, quantity=1, price=price, name=product.name, category=product.category)
    return (*lines, msgspec.structs.replace(gift, brand=product.brand, image=product.image, url=product.url))


def _claim(new: NewOrder, order_id: str, total: Money | None, action: str) -> ClaimCode:
    return ClaimCode(
        code=new.coupon or "",
        action="release" if action == "release" else "reserve",
        order_id=order_id,
        customer_id=new.customer_id,
        amount=total,
    )


def _priced(line: CartLine, amount: int) -> CartLine:
    return msgspec.structs.replace(line, price=msgspec.structs.replace(line.price, amount=amount))
