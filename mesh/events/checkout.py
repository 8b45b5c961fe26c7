"""The checkout of an order: a saga whose state is its newest event."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from mesh.event import Event, event
from mesh.events.code import OrderCode
from mesh.events.order import BuyerFacts
from mesh.events.payment import PaymentState
from mesh.events.stock import StockLine
from mesh.money import Money

Decision = Literal["again", "undo", "accept"]
"""What somebody decides about a parked checkout: ask for the step again, undo everything, or take the step as done."""

StockAction = Literal["reserve", "release", "sell"]
"""What a checkout requests of stock: the steps of these names."""


class WaitingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An event that came while a checkout was parked, by its place: it is taken when the checkout is resumed."""

    type: str
    stream: str
    sequence: int


@event(key="order_id")
class CheckoutAdvanced(Event):
    """Where the checkout of an order is, whole: the newest one is its state.

    `step` is what it waits for, `finished` or `undone`; `requested` is the step that is requested with this event, and
    `asked` counts how often each was. `answers` has the newest answer of stock, code, payment, fraud check and order,
    `places` where each stands in its stream. `total` is what is to be paid, `returned` what returned pieces cost, in
    minor units, and `payment` the payment as it was reported last. `failure` says why the steps are being undone;
    `parked` says why the checkout cannot go on. Events that come while it is parked wait in order in `waiting`.
    `limit` is until when the step may take, and `timer` when the pending timer goes off, at the limit or before.
    """

    order_id: str
    step: str
    total: Money
    payment_method: str
    customer_id: str | None = None
    visitor_id: str | None = None
    requested: str | None = None
    asked: dict[str, int] = msgspec.field(default_factory=dict)
    answers: dict[str, str] = msgspec.field(default_factory=dict)
    places: dict[str, int] = msgspec.field(default_factory=dict)
    payment: PaymentState | None = None
    returned: int = 0
    failure: str | None = None
    parked: str | None = None
    waiting: tuple[WaitingAnswer, ...] = ()
    buyer: BuyerFacts | None = None
    code: OrderCode | None = None
    limit: datetime | None = None
    timer: datetime | None = None


def _step_due_of_v1(due: dict[str, Any]) -> dict[str, Any]:
    """The same fields. Who knows version 1 alone would drop a timer that goes off early, and no other would be set."""
    return due


@event(key="order_id", version=2, upcasts=(_step_due_of_v1,))
class CheckoutStepDue(Event):
    """The time limit of a step is over: published by a timer. Once the step was answered, the next one is watched.

    `attempt` is which time the step was asked for, 0 where its limit is later: then the timer is set again.
    """

    order_id: str
    step: str
    attempt: int


@event(key="order_id")
class CheckoutStockRequested(Event):
    """A checkout requests something of stock, which is published in stock's own stream next; `reason` of a release.

    `lines` are what to reserve of an order that was just created; of others the order has them.
    """

    order_id: str
    action: StockAction
    reason: str = ""
    lines: tuple[StockLine, ...] = ()


@event(key="order_id")
class CheckoutParked(Event):
    """A checkout cannot go on by itself, and waits for somebody to decide: why, and at which step."""

    order_id: str
    step: str
    reason: str


@event(key="order_id")
class CheckoutResumed(Event):
    """Somebody decided about a parked checkout: at which `step` it waited, and why; `author` is an account's id."""

    order_id: str
    decision: Decision
    reason: str = ""
    step: str = ""
    author: str = ""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """The question for the parked checkouts of the region; at most so many."""

    most: int = 100


class ParkedCheckout(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout that waits: at which step, since when, why, and how many later events wait behind it."""

    order_id: str
    step: str
    reason: str
    since: datetime
    waiting: int


class ParkedCheckouts(msgspec.Struct, frozen=True, kw_only=True):
    """Those there are, oldest first."""

    checkouts: tuple[ParkedCheckout, ...]


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about a parked checkout; `author` is the account's id of who decided."""

    order_id: str
    decision: Decision
    reason: str = ""
    author: str = ""


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a decision was stored; else why not."""

    refused: str | None = None
