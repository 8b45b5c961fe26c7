"""Steps: the checkout as a table. What is requested, which answers let it go on, and what a silence means.

    created -> reserve stock -> claim the code -> check for fraud -> authorise -> confirm -> redeem the code -> capture
            -> ship -> sell the stock

An order is confirmed only once nothing is left that could be refused: its stock is reserved, its payment is held.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec

from mesh import Event
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.order import OrderCancellationRequested, OrderConfirmationRequested
from services.checkout.step_requests import (
    authorise,
    capture,
    check_for_fraud,
    claim_code,
    has_code,
    holds_stock,
    is_unsettled,
    owed,
    refund,
    request_stock,
    ship,
    void,
)

Silence = Literal["accept", "undo", "park"]
"""What is done where nobody answers: take the step as done, undo everything, or let somebody decide."""


class CheckoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each step may take, and what a silence means.

    A step that is not answered in time is requested `checkout_tries` times in all, a fraud check once; then
    `fraud_silence` decides. Without stock or payment the order is undone; what cannot be undone is parked for somebody
    to decide.
    `fraud_flagged` decides about a payment that looks like fraud. Stock is reserved for `reservation_lasts`.
    """

    reserve_within: timedelta = timedelta(seconds=30)
    claim_within: timedelta = timedelta(seconds=10)
    check_within: timedelta = timedelta(seconds=2)
    authorise_within: timedelta = timedelta(seconds=60)
    order_within: timedelta = timedelta(seconds=30)
    capture_within: timedelta = timedelta(seconds=60)
    checkout_tries: int = 3
    fraud_silence: Silence = "accept"
    fraud_flagged: Literal["undo", "park"] = "park"
    reservation_lasts: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a checkout.

    `request` makes the event that asks for it. Stock is asked by `checkout.stock_requested`, of which a handler
    publishes the request in stock's stream.
    `topic` is who answers. `done` answers let the checkout go on, `failed` ones undo it, `held` ones park it.
    `needed` says whether there is anything to do; an `immediate` one waits for no answer.
    `tries` is how often it is requested, where that differs from the others.
    """

    name: str
    topic: str
    within: timedelta
    request: Callable[[State], Event]
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    silence: Silence = "park"
    tries: int | None = None
    immediate: bool = False
    needed: Callable[[State], bool] = lambda _: True


@dataclass(frozen=True, kw_only=True)
class Table:
    """All steps: those of an order that succeeds, those that pay back afterwards, and those that undo."""

    forward: tuple[Step, ...]
    after: tuple[Step, ...]
    undo: tuple[Step, ...]
    tries: int

    def step(self, name: str) -> Step | None:
        """The step of a name; None for `finished` and `undone`."""
        return next((one for one in (*self.forward, *self.after, *self.undo) if one.name == name), None)


def table(settings: CheckoutSettings) -> Table:
    """The checkout."""
    return Table(forward=forward(settings), after=after(settings), undo=undo(settings), tries=settings.checkout_tries)


def forward(settings: CheckoutSettings) -> tuple[Step, ...]:
    """The steps of an order that succeeds. Read them from top to bottom."""
    flagged = ("payment.flagged",)
    return (
        Step(
            name="reserve",
            topic="stock",
            within=settings.reserve_within,
            request=lambda state: request_stock(state, "reserve"),
            done=("stock.reserved", "stock.expired", "stock.sold"),  # what has expired is reserved again by the sale
            failed=("stock.refused", "stock.released"),
            silence="undo",
        ),
        Step(
            name="claim",
            topic="code",
            within=settings.claim_within,
            request=lambda state: claim_code(state, "reserve"),
            done=("code.reserved", "code.redeemed"),
            failed=("code.refused", "code.released"),
            silence="undo",
            needed=has_code,
        ),
        Step(
            name="check",
            topic="fraud",
            within=settings.check_within,
            request=check_for_fraud,
            done=("fraud.cleared", "fraud.accepted"),
            silence=settings.fraud_silence,
            tries=1,
            failed=flagged if settings.fraud_flagged == "undo" else (),
            held=flagged if settings.fraud_flagged == "park" else (),
        ),
        Step(
            name="authorise",
            topic="payment",
            within=settings.authorise_within,
            request=authorise,
            done=("payment.authorised", "payment.captured"),
            failed=("payment.declined", "payment.authorise_failed", "payment.voided"),
            silence="undo",
        ),
        Step(
            name="confirm",
            topic="order",
            within=settings.order_within,
            request=lambda state: OrderConfirmationRequested(order_id=state.order_id),
            done=("order.confirmed",),
        ),
        # The code's home may be cut off now. It keeps the code for this order, and redeems it when it hears of this.
        Step(
            name="redeem",
            topic="code",
            within=settings.order_within,
            request=lambda state: claim_code(state, "redeem"),
            done=("code.redeemed",),
            immediate=True,
            needed=has_code,
        ),
        Step(
            name="capture",
            topic="payment",
            within=settings.capture_within,
            request=capture,
            done=("payment.captured", "payment.refunded"),
            held=("payment.capture_failed", "payment.declined", "payment.voided"),
        ),
        # Nothing can be cancelled from here on, so that no stock is sold for an order that is cancelled.
        Step(
            name="ship",
            topic="shipment",
            within=settings.order_within,
            request=ship,
            immediate=True,
        ),
        Step(
            name="sell",
            topic="stock",
            within=settings.reserve_within,
            request=lambda state: request_stock(state, "sell"),
            done=("stock.sold", "stock.accepted"),
            held=("stock.refused", "stock.released"),
        ),
    )


def after(settings: CheckoutSettings) -> tuple[Step, ...]:
    """What is paid back of an order that succeeded, because pieces of it were cancelled or returned."""
    return (
        Step(
            name="refund",
            topic="payment",
            within=settings.capture_within,
            request=refund,
            held=("payment.refund_failed",),
            needed=lambda state: owed(state) > 0,
        ),
    )


def undo(settings: CheckoutSettings) -> tuple[Step, ...]:
    """Compensation: what is held is given back, what was charged is refunded, and `order.cancelled` says so.

    A payment that comes late is given back when it comes.
    """
    return (
        Step(
            name="void",
            topic="payment",
            within=settings.capture_within,
            request=void,
            held=("payment.void_failed", "payment.refund_failed"),
            needed=is_unsettled,
        ),
        Step(
            name="release",
            topic="stock",
            within=settings.reserve_within,
            request=lambda state: request_stock(state, "release"),
            needed=holds_stock,
        ),
        Step(
            name="cancel",
            topic="order",
            within=settings.order_within,
            request=lambda state: OrderCancellationRequested(order_id=state.order_id, reason=state.failure or ""),
            needed=lambda state: state.answers.get("order") != "order.cancelled",
        ),
        # Asked once: a home that is cut off gives the code back when it hears of this.
        Step(
            name="return_code",
            topic="code",
            within=settings.order_within,
            request=lambda state: claim_code(state, "release"),
            needed=lambda state: has_code(state) and "return_code" not in state.asked,
        ),
    )
