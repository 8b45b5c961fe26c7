"""Taking: what an order over HTTP must be, and what it costs by the shop's catalogue."""

import asyncio
import re
from datetime import datetime
from typing import Annotated

import msgspec

from mesh import Mesh, Money
from mesh.errors import InvalidField
from mesh.events.cart import CartLine
from mesh.events.order import BuyerFacts
from mesh.events.product import ProductListed
from mesh.profiles import address_digest, postal_address_digest
from mesh.vocabulary import Token

MOST_LINES = 200
MOST_PIECES = 1000
MOST_MINOR_UNITS = 10**12
"""The most that an order may cost."""
_card_number = re.compile(r"[ -]?(?:\d[ -]?){13,19}").fullmatch

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class WantedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pieces of a product; `price` is what the shopper saw for one piece, where it is to be checked."""

    product_id: Token
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MOST_PIECES)]
    price: Money | None = None


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a parcel goes; `country` is a code of ISO 3166 with two letters.

    The buyer is told of the order at `email` and `phone`, a number with its country's code such as +4930901820.
    """

    name: Text
    street: Text
    postal_code: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    city: Text
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
    email: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | None = None
    phone: Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}$")] | None = None


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/orders`; `total` is what the shopper saw, where it is to be checked.

    The order has the currency of `total` or of a line's price, where the catalogue has prices in it. What the code
    `coupon` takes off is reckoned here, and it is reserved for the order; `total` is then what is left. A shop that
    reckons itself says by `discount_percent` what it takes off each price, and the `coupon` is noted alone.
    `billing` is where the bill goes, where that is elsewhere, and `account_created` since when the customer has an
    account: the fraud check compares them. Of the billing address a digest is kept alone.
    """

    lines: tuple[WantedLine, ...]
    payment_method: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    visitor_id: Token | None = None
    customer_id: Token | None = None
    cart_id: Token | None = None
    session_id: Token | None = None
    reference: Text | None = None
    total: Money | None = None
    coupon: Token | None = None
    discount_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    address: Address | None = None
    billing: Address | None = None
    account_created: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def buyer_of(order: NewOrder) -> BuyerFacts | None:
    """What a fraud check may know of a buyer, without personal data; None where nothing is known."""
    parcel, bill = order.address, order.billing or order.address
    facts = BuyerFacts(
        email=address_digest(parcel.email) if parcel and parcel.email else None,
        address=_postal_digest(parcel),
        billing_address=_postal_digest(bill),
        delivery_country=parcel.country if parcel else None,
        billing_country=bill.country if bill else None,
        account_created=order.account_created,
    )
    return facts if facts != BuyerFacts() else None


def check(order: NewOrder) -> None:
    """Raises InvalidField for an order that can be refused without looking at the catalogue."""
    if not order.lines:
        raise InvalidField("$.lines", "an order has at least one line")
    if len(order.lines) > MOST_LINES:
        raise InvalidField("$.lines", f"an order has at most {MOST_LINES} lines, not {len(order.lines)}")
    if order.visitor_id is None and order.customer_id is None:
        raise InvalidField("$.visitor_id", "say who orders by visitor_id, customer_id or both")
    if _is_card_number(order.payment_method):
        raise InvalidField("$.payment_method", "this is a card's number; send the payment provider's token of it")
    named = [line.price for line in order.lines if line.price] + ([order.total] if order.total else [])
    _one_currency(named)


async def priced(order: NewOrder, mesh: Mesh) -> tuple[CartLine, ...]:
    """The order's lines as the catalogue has them, one for each product.

    Raises InvalidField for a product that is not listed, has no price or cannot be bought, for a price or total that
    is not the catalogue's, and for several currencies.
    """
    wanted: dict[str, int] = {}
    for line in order.lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    listed = await asyncio.gather(*(_listed(one, mesh) for one in wanted))
    currency = next((named.currency for named in (order.total, *(line.price for line in order.lines)) if named), None)
    found = {id_: _in_currency(one, currency) for id_, one in zip(wanted, listed, strict=True)}
    for at, line in enumerate(order.lines):
        _check_line(f"$.lines[{at}]", line, found[line.product_id], wanted[line.product_id])
    lines = tuple(_line(one, wanted[id_], order.discount_percent) for id_, one in found.items() if one)
    _one_currency([line.price for line in lines])
    return lines


def agreed(order: NewOrder, lines: tuple[CartLine, ...]) -> tuple[CartLine, ...]:
    """The lines themselves. Raises InvalidField for another `total`, and for nothing or more than can be charged."""
    total = total_of(lines)
    if not 0 < total.amount <= MOST_MINOR_UNITS:
        raise InvalidField("$.lines", f"by the catalogue they cost {_written(total)}, which cannot be charged")
    if order.total is not None and order.total != total:
        raise InvalidField("$.total", f"by the catalogue it is {_written(total)}, not {_written(order.total)}")
    return lines


def total_of(lines: tuple[CartLine, ...]) -> Money:
    """What lines cost; there is at least one, and all have one currency."""
    total = Money.sum(line.price * line.quantity for line in lines)
    if total is None:
        raise ValueError("no lines")
    return total


def _postal_digest(address: Address | None) -> str | None:
    if address is None:
        return None
    return postal_address_digest(address.street, address.postal_code, address.city, address.country)


async def _listed(product_id: str, mesh: Mesh) -> ProductListed | None:
    """The product as it was listed last, in whichever region."""
    regions = (mesh.region, *mesh.others)
    listed = await asyncio.gather(*(mesh.last(ProductListed, product_id, region=region) for region in regions))
    newest = max((one for one in listed if one), key=lambda one: one.event_time, default=None)
    return newest.event if newest else None


def _in_currency(product: ProductListed | None, currency: str | None) -> ProductListed | None:
    """The product at its price in a currency, where the catalogue has one."""
    price = next((one for one in product.prices if one.currency == currency), None) if product else None
    if product is None or price is None or (product.price and product.price.currency == currency):
        return product
    return msgspec.structs.replace(product, price=price)


def _check_line(at: str, line: WantedLine, product: ProductListed | None, pieces: int) -> None:
    if product is None:
        raise InvalidField(f"{at}.product_id", f"the catalogue has no product {line.product_id}")
    if product.price is None:
        raise InvalidField(f"{at}.product_id", f"the catalogue has no price of {line.product_id}")
    if product.price.amount < 0:
        raise InvalidField(f"{at}.product_id", f"the catalogue's price of {line.product_id} is below zero")
    if not product.available:
        raise InvalidField(f"{at}.product_id", f"{line.product_id} cannot be bought now")
    if line.price is not None and line.price != product.price:
        words = f"the catalogue's price of {line.product_id} is {_written(product.price)}, not {_written(line.price)}"
        raise InvalidField(f"{at}.price", words)
    if pieces > MOST_PIECES:
        raise InvalidField(f"{at}.quantity", f"at most {MOST_PIECES} pieces of a product, not {pieces}")


def _line(product: ProductListed, quantity: int, discount_percent: int) -> CartLine:
    price = product.price or Money(amount=0, currency="")  # _check_line refused a product without one
    reduced = (price.amount * (100 - discount_percent) + 50) // 100
    return CartLine(
        product_id=product.product_id,
        quantity=quantity,
        price=msgspec.structs.replace(price, amount=reduced),
        name=product.name,
        category=product.category,
        brand=product.brand,
        image=product.image,
        url=product.url,
    )


def _one_currency(amounts: list[Money]) -> None:
    found = sorted({one.currency for one in amounts})
    if len(found) > 1:
        raise InvalidField("$.lines", f"an order has one currency, not {' and '.join(found)}")


def _is_card_number(text: str) -> bool:
    """13 to 19 digits whose check digit is right (ISO/IEC 7812-1, the Luhn algorithm)."""
    if not text.isascii() or not _card_number(text):
        return False
    digits = [int(one) for one in reversed(text) if one.isdigit()]
    doubled = [one * 2 - 9 if one > 4 else one * 2 for one in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _written(amount: Money) -> str:
    return f"{amount.decimal()} {amount.currency}"
