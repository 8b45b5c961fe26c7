"""Offer record: what became of one offer, folded from its events, and what it adds to the figures of its day."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date
from functools import reduce

import msgspec

from mesh import Event, Money, Received
from mesh.channels import ChannelName
from mesh.events.cart import CartRecovered
from mesh.events.mail import MailComplained
from mesh.events.offer import (
    OfferClicked,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferOpened,
    OfferRecovered,
    OfferSent,
    OfferShown,
    OfferUnsubscribed,
    OfferWithdrawn,
    OpenedBy,
)
from notifications.exact_sums import Figures
from notifications.progress import WAITING

KINDS = (
    OfferDecided,
    OfferSent,
    OfferShown,
    OfferDeferred,
    OfferFailed,
    OfferWithdrawn,
    OfferOpened,
    OfferClicked,
    OfferUnsubscribed,
    MailComplained,
    CartRecovered,
    OfferRecovered,
)
"""The events that a record is the fold of. All travel to every region."""


BY_CHANNEL: dict[type[Event], str] = {
    OfferSent: "sent",
    OfferDeferred: "deferred",
    OfferFailed: "failed",
    OfferWithdrawn: "withdrawn",
}
"""What a channel did with an offer, and where a record has the channels that did."""
BY_SHOPPER: dict[type[Event], str] = {
    OfferShown: "shown",
    OfferClicked: "clicked",
    OfferUnsubscribed: "unsubscribed",
    MailComplained: "complained",
}
"""What a shopper did with an offer, and where a record says so."""


class Newest(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """The newest decision about an offer: its attempt, its event's id, its outcome and its reason."""

    attempt: int
    id: str
    outcome: str
    reason: str


class OfferRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An offer of one step of a journey for one left cart, as it is now.

    `day` is the one (UTC) on which the cart was left for long enough, or a later step was due: it is the same in every
    decision about the offer, so all that becomes of an offer counts on one day. Until a decision has arrived it is
    None. `step` and `variant` are those of the newest decision; empty where the journey has no steps, the step none.
    """

    cart_id: str = ""
    region: str = ""
    journey: str = ""
    day: date | None = None
    decision: Newest | None = None
    sent: tuple[ChannelName, ...] = ()
    deferred: tuple[ChannelName, ...] = ()
    failed: tuple[ChannelName, ...] = ()
    withdrawn: tuple[ChannelName, ...] = ()
    shown: bool = False
    clicked: bool = False
    recovered: dict[str, Money] = {}
    """By order, its total."""
    step: str = ""
    variant: str = ""
    unsubscribed: bool = False
    complained: bool = False
    opens_counted: bool = False
    opened: tuple[OpenedBy, ...] = ()


MAILED = "sent:email"
"""How many offers went by mail: of those shoppers unsubscribe and complain."""
OPENS_COUNTED = "opens counted"
"""How many mails have the picture by which opens are counted; it is these that the next ones are a part of."""
OPENED: dict[str, frozenset[OpenedBy]] = {
    "opened by people": frozenset({"person", "proxy"}),
    "opened by machines": frozenset({"machine"}),
    "opened by unknown": frozenset({"unknown"}),
}
"""How many mails were opened so, by each name in the figures. One may be opened in several ways."""
OF_STEP = (
    *("approved", "sent", MAILED, "clicked", "recovered", "unsubscribed", "complained"),
    *(OPENS_COUNTED, *OPENED),
)
"""What is counted of each step and variant besides, and revenue: by names that begin with `step:<step>:<variant>:`."""
OF_STEPS = "step:"


def fold(record: OfferRecord | None, events: Iterable[Received]) -> OfferRecord:
    """The record after these events, whatever their order and however often each comes."""
    return reduce(step, events, record or OfferRecord())


def step(record: OfferRecord, received: Received) -> OfferRecord:
    """The record after one more event. What it says only grows, so neither order nor repetition matters."""
    match received.event:
        case OfferDecided() as decided:
            return _decided(record, decided, received)
        case OfferSent() | OfferDeferred() | OfferFailed() | OfferWithdrawn() as event:
            name = BY_CHANNEL[type(event)]
            channels = tuple(sorted({*getattr(record, name), event.channel}))
            counted = record.opens_counted or getattr(event, "opens_counted", False)
            return msgspec.structs.replace(record, **{name: channels}, opens_counted=counted)
        case OfferOpened(by=by):
            return msgspec.structs.replace(record, opened=tuple(sorted({*record.opened, by})))
        case OfferShown() | OfferClicked() | OfferUnsubscribed() | MailComplained() as event:
            return msgspec.structs.replace(record, **{BY_SHOPPER[type(event)]: True})
        case CartRecovered(order_id=order, value=value) | OfferRecovered(order_id=order, value=value):
            return msgspec.structs.replace(record, recovered=dict(sorted({**record.recovered, order: value}.items())))
        case _:
            return record


def figures_of(record: OfferRecord) -> Figures:
    """What an offer adds to the figures of its journey and day: nothing before its decision is known."""
    if record.decision is None:
        return {}
    if record.decision.reason == WAITING:
        return {"waiting": 1}
    found: Counter[str] = Counter(evaluated=1)
    found[record.decision.outcome] = 1
    if record.decision.reason:
        found[f"{record.decision.outcome}:{record.decision.reason}"] = 1
    for name in BY_CHANNEL.values():
        channels = getattr(record, name)
        found[name] = bool(channels)
        found.update(f"{name}:{channel}" for channel in channels)
    found["shown"], found["clicked"] = record.shown, record.clicked
    found["unsubscribed"], found["complained"] = record.unsubscribed, record.complained
    found[OPENS_COUNTED] = record.opens_counted
    found.update({name: bool(ways & {*record.opened}) for name, ways in OPENED.items()})
    found["recovered"] = bool(record.recovered)
    for value in record.recovered.values():
        found[f"revenue:{value.currency}"] += value.amount
    if record.step:
        own = {name: count for name, count in found.items() if name in OF_STEP or name.startswith("revenue:")}
        found.update({step_key(record.step, record.variant) + name: count for name, count in own.items()})
    return {name: int(count) for name, count in found.items() if count}


def step_key(step: str, variant: str) -> str:
    """What the names of the figures of a step and variant begin with."""
    return f"{OF_STEPS}{step}:{variant}:"


def _decided(record: OfferRecord, decided: OfferDecided, received: Received) -> OfferRecord:
    made = Newest(attempt=decided.attempt, id=received.id, outcome=decided.outcome, reason=decided.reason)
    is_newest = record.decision is None or made >= record.decision
    return msgspec.structs.replace(
        record,
        cart_id=decided.cart_id,
        region=received.region,
        journey=decided.journey,
        day=decided.due.astimezone(UTC).date(),
        decision=made if is_newest else record.decision,
        step=decided.step if is_newest else record.step,
        variant=decided.variant if is_newest else record.variant,
    )
