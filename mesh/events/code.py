"""Coupon codes: issued once, reserved by an order, redeemed, given back; and the lists that a shop imports.

A code has one home: the region whose stream holds its `CodeChanged`, whose newest event is the code's state. Only the
home decides about it, by a condition on this one subject; other regions ask it by `CodeRequested`, and it answers by
`CodeAnswered`. A checkout asks within its own region, by `CodeClaimRequested`, and is answered there.
"""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.event import Event, event
from mesh.money import Money

DiscountKind = Literal["percentage", "amount", "free_shipping", "gift"]
CodeState = Literal["free", "reserved", "redeemed", "expired", "withdrawn"]
CodeAction = Literal["reserve", "redeem", "release"]
CodeOutcome = Literal["reserved", "redeemed", "released", "refused"]


class Discount(msgspec.Struct, frozen=True, kw_only=True):
    """What a code takes off: `percent` of each price, that of `amounts` in its currency, or the shipping.

    `at_most` bounds what a percentage comes to. Of a gift, `product_id` is the product that is given away.
    """

    kind: DiscountKind = "percentage"
    percent: int = 0
    amounts: tuple[Money, ...] = ()
    at_most: Money | None = None
    product_id: str | None = None


class OrderCode(msgspec.Struct, frozen=True, kw_only=True):
    """The code that an order was taken with: its key and home, and what it takes off the order, `off` in money."""

    code_id: str
    home: str
    discount: Discount
    off: Money


class CodeHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The order or cart that has reserved or redeemed a code, and where that was asked for.

    `place` is the sequence of the request in its region's stream, where it came as an event; a request that stands
    before it was overtaken. `until` is when a reservation ends; `amount` is what the order came to.
    """

    order_id: str
    region: str
    place: int = 0
    until: datetime | None = None
    customer_id: str | None = None
    amount: Money | None = None


@event(key="code_id")
class CodeChanged(Event):
    """The state of a code, whole: the newest is its state, and only its home region publishes it.

    `code_id` is a digest of the code without case, blanks and dashes. `holder` has the code while it is `reserved` or
    `redeemed`; in any other state it is the last that had it. With a `customer_id` no other customer can have it, but
    a guest can. After `expires` it can no longer be reserved. `before` is the state before this one.
    """

    code_id: str
    code: str
    state: CodeState
    discount: Discount
    expires: datetime | None = None
    customer_id: str | None = None
    holder: CodeHolder | None = None
    before: CodeState | None = None
    journey: str = ""
    offer_id: str = ""
    list_name: str = ""
    reason: str = ""


@event(key="request_id")
class CodeRequested(Event):
    """A region asks the `home` of a code for it. Not obeyed any more after `answer_by`."""

    request_id: str
    code_id: str
    home: str
    action: CodeAction
    order_id: str
    body: str = ""
    customer_id: str | None = None
    amount: Money | None = None
    until: datetime | None = None
    answer_by: datetime | None = None
    place: int = 0
    for_checkout: bool = False


@event(key="request_id")
class CodeAnswered(Event):
    """The home's answer to a request, once for each: `body` is the digest of what was asked."""

    request_id: str
    code_id: str
    order_id: str
    outcome: CodeOutcome
    body: str = ""
    discount: Discount | None = None
    until: datetime | None = None
    place: int = 0
    for_checkout: bool = False


@event(key="code_id")
class CodeReservationExpired(Event):
    """A timer: a reservation that was to hold until `until`."""

    code_id: str
    until: datetime


@event(key="code_id")
class CodeExpired(Event):
    """A timer: from now on a code can no longer be reserved."""

    code_id: str


@event(key="order_id")
class CodeClaimRequested(Event):
    """A checkout asks for the code of its order, whose home is `home`."""

    order_id: str
    action: CodeAction
    code_id: str
    home: str
    customer_id: str | None = None
    amount: Money | None = None
    until: datetime | None = None


@event(key="order_id")
class CodeClaimChanged(Event):
    """What became of the code of an order: the answer to its checkout. `place` is that of the request."""

    order_id: str
    code_id: str
    outcome: CodeOutcome
    place: int = 0


class ClaimCode(msgspec.Struct, frozen=True, kw_only=True):
    """The request to reserve a code for an order that is being taken, or to give it back."""

    code: str
    action: CodeAction
    order_id: str
    customer_id: str | None = None
    amount: Money | None = None


class CodeClaimed(msgspec.Struct, frozen=True, kw_only=True):
    """What a code takes off, and its home. `refused`: it cannot be redeemed; `unknown`: it cannot be checked now."""

    outcome: CodeOutcome | Literal["unknown"]
    code_id: str = ""
    home: str = ""
    discount: Discount | None = None


class AssignCode(msgspec.Struct, frozen=True, kw_only=True):
    """The request for a code of an imported list, for one offer: the same offer gets the same code again."""

    list_name: str
    offer_id: str
    journey: str
    discount: Discount


class CodeAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """The code, None where none is left; and how many are left in this region."""

    code: str | None = None
    left: int = 0


@event(key="part_id")
class CodesImported(Event):
    """Codes of a list that the shop brought, for one `region`, which hands them out in their order.

    Which region that is follows from each code alone, so that a code which is imported twice has one home all the same.
    """

    part_id: str
    list_name: str
    region: str
    codes: tuple[str, ...]
    expires: datetime | None = None
    author: str = ""


@event(key="part_id")
class CodePartUsed(Event):
    """How many codes of a part were handed out, in their order; only the part's region publishes it."""

    part_id: str
    list_name: str
    used: int


@event(key="offer_id")
class CodeAssigned(Event):
    """An offer got a code of a list, once."""

    offer_id: str
    code_id: str
    code: str
    list_name: str


@event(key="list_name")
class CodeListExhausted(Event):
    """No code of a list is left in this region: offers that need one are held until more are imported."""

    list_name: str
    journey: str
