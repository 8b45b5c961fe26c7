"""The checkout of an order: a saga whose state is its newest event."""

import msgspec

from mesh.event import Event, event
from mesh.events.payment import PaymentState
from mesh.money import Money


class WaitingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An event that came while a checkout was parked, by its place: it is taken when the checkout is resumed."""

    type: str
    stream: str
    sequence: int


@event(key="order_id")
class CheckoutAdvanced(Event):
    """Where the checkout of an order is, whole: the newest one is its state.

    `step` is what it waits for, `finished` or `undone`; `asked` counts how often each step was asked for, and
    `answers` has the type of the event that answered it. `total` is what is to be paid, `payment` the payment as it was
    reported last, at `payment_sequence`. `failure` says why the steps are being undone. `parked` says why it cannot go
    on; events that come meanwhile wait in order in `waiting`. `returned` is what returned pieces cost, in minor units.
    """

    order_id: str
    step: str
    total: Money
    payment_method: str
    asked: dict[str, int] = msgspec.field(default_factory=dict)
    answers: dict[str, str] = msgspec.field(default_factory=dict)
    customer_id: str | None = None
    visitor_id: str | None = None
    address_id: str | None = None
    returned: int = 0
    payment: PaymentState | None = None
    payment_sequence: int = 0
    failure: str | None = None
    parked: str | None = None
    waiting: tuple[WaitingAnswer, ...] = ()


@event(key="order_id")
class CheckoutStepDue(Event):
    """The time limit of a step is over: published by a timer, and without effect once the step was answered.

    `attempt` is which time the step was asked for.
    """

    order_id: str
    step: str
    attempt: int


@event(key="order_id")
class CheckoutParked(Event):
    """A checkout cannot go on by itself, and waits for somebody to decide: why, and at which step."""

    order_id: str
    step: str
    reason: str


@event(key="order_id")
class CheckoutResumed(Event):
    """Somebody decided about a parked checkout: ask for the step again, or undo everything."""

    order_id: str
    decision: str
    reason: str = ""
