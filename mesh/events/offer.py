"""The life of an offer: due, decided, claimed, sent or failed or withdrawn, and why.

A journey's run is one journey on one subject, such as a cart; `run_id` names it, and its timer is keyed by it. A run
has one or several steps, each with an offer of its own. Other events are keyed by the cart: one cart's offers, of
whatever journey, are one history and are decided one after another. An `offer_id` names the offer of one step of a run
for one abandonment; a held offer keeps its id when it is evaluated again. What channels publish about an offer names
the run, the journey and the revisions that its decision named.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from mesh.channels import ChannelName
from mesh.event import Event, event
from mesh.events.cart import CartLine
from mesh.events.code import Discount
from mesh.events.user import Recommendation
from mesh.money import Money

CART_ABANDONED = "cart abandoned"
"""The trigger of a run that a `CartAbandoned` starts, as every run was before there were others."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a decision: its name, whether it passed, and the value it saw, as text.

    With a `channel` it is about that channel alone: one that failed closes it, and others may still be used.
    """

    name: str
    passed: bool
    value: str
    channel: ChannelName | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Which arm of the continuous experiment a cart was given: `none`, or the discount in percent.

    `probability` is that of being given this arm, `withheld` that of the arm `none`, both known before the
    fact. `eligible`: every check that has nothing to do with the arm passed, so that the outcome
    depends on the arm alone.
    """

    arm: str
    probability: float
    eligible: bool
    withheld: float = 0.0


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What the storefront shows for an offer: plain text, never markup."""

    title: str
    body: str
    action: str
    url: str
    coupon: str | None = None


@event(key="cart_id")
class OfferTriggered(Event):
    """Something else than a cart that was just left starts the run of one journey; this event's id names the occasion.

    `trigger` is what it was, in the words of the journey (`notifications/journeys/triggers.py`). `cart_id` is the left
    cart that it is about, which `abandonment_id` and `update_id` name as of when it was left. Where it is about no cart
    (products that were looked at, an order that nothing followed) it is a key of its own, with which no cart is stored.
    `left_at` is when the shopper did last what counts: left the cart, looked at a product, ordered (`order_id`);
    `since` is when they began to look at products. `due` is when it was to be found.

    `products` are those that the trigger is about, in `lines` first; `prices_before` is what they cost before by the
    catalogue, where they cost less now. `recommended` is what may be shown where there are no lines.
    """

    cart_id: str
    visitor_id: str
    journey: str
    trigger: str
    lines: tuple[CartLine, ...]
    total: Money
    left_at: datetime
    due: datetime
    abandonment_id: str | None = None
    update_id: str | None = None
    order_id: str | None = None
    since: datetime | None = None
    products: tuple[str, ...] = ()
    prices_before: dict[str, Money] = msgspec.field(default_factory=dict)
    recommended: tuple[Recommendation, ...] = ()
    session_id: str | None = None
    customer_id: str | None = None


@event(key="run_id")
class OfferDue(Event):
    """A run's offer is to be evaluated again: the time that it was held until has come.

    `step` is the name of its step, empty in a journey of one step; `position` counts steps from 1. `trigger` is what
    started the run.
    """

    run_id: str
    cart_id: str
    journey: str
    abandonment_id: str
    attempt: int
    step: str = ""
    position: int = 1
    trigger: str = CART_ABANDONED


@event(key="cart_id")
class OfferDecided(Event):
    """An evaluated cart's offer was approved, held until a better moment, or dropped: with every check and its value.

    An approved offer is sent by its channels; `OfferSent` and `OfferFailed` say what became of it there. A card on the
    site is made for an `OfferRequested`, once a page is open that can show it.

    `step` names the step of the journey (empty in a journey of one step), `position` its place from 1, and `variant`
    what chance gave the shopper there. A later step is held from the moment when the one before it was decided.

    `trigger` is what started the run; where it is not a cart that was just left, `abandonment_id` is the id of the
    `OfferTriggered`. `prices_before` are its, by product.

    `inputs` is what was known of cart and shopper when the abandonment was decided first, in the decision of one of its
    journeys: whoever has it can decide again (`notifications.decision_input.DecisionInput`).
    """

    cart_id: str
    visitor_id: str
    offer_id: str
    abandonment_id: str
    attempt: int
    outcome: Literal["approved", "held", "dropped"]
    reason: str
    checks: tuple[Check, ...]
    journey: str
    due: datetime
    run_id: str = ""
    journey_revision: int = 0
    template_revision: int | None = None
    held_until: datetime | None = None
    channels: tuple[ChannelName, ...] = ()
    template: str | None = None
    coupon: str | None = None
    discount_percent: int = 0
    discount: Discount | None = None
    lines: tuple[CartLine, ...] = ()
    recommended: tuple[Recommendation, ...] = ()
    total: Money | None = None
    model_version: str | None = None
    propensity: float | None = None
    assignment: Assignment | None = None
    step: str = ""
    position: int = 1
    variant: str = ""
    inputs: dict[str, Any] | None = None
    trigger: str = CART_ABANDONED
    prices_before: dict[str, Money] = msgspec.field(default_factory=dict)


@event(key="cart_id")
class OfferRecovered(Event):
    """A confirmed order followed an offer that was about no cart; `cart_id` is the key of its run. See `CartRecovered`.

    `value` is the order's total.
    """

    cart_id: str
    visitor_id: str
    order_id: str
    offer_id: str
    value: Money


@event(key="cart_id")
class OfferRequested(Event):
    """A page of the shopper is open on which an approved offer can be shown: its card is to be made."""

    cart_id: str
    visitor_id: str
    offer_id: str
    channel: ChannelName = "onsite"


@event(key="cart_id")
class OfferClaimed(Event):
    """A channel is about to send an offer. Only the process that stored the claim may send it."""

    cart_id: str
    offer_id: str
    channel: ChannelName
    attempt: int
    run_id: str = ""
    journey: str = ""
    journey_revision: int = 0
    template_revision: int | None = None


@event(key="cart_id")
class OfferSent(Event):
    """An offer reached its channel: the mail server took it, or it is shown on the site.

    `domain` is that of a mail's recipient. `opens_counted`: the mail has the picture by which opens are counted.
    """

    cart_id: str
    visitor_id: str
    offer_id: str
    channel: ChannelName
    message_id: str | None = None
    card: Card | None = None
    run_id: str = ""
    journey: str = ""
    journey_revision: int = 0
    template_revision: int | None = None
    domain: str = ""
    opens_counted: bool = False


@event(key="cart_id")
class OfferDeferred(Event):
    """A channel could not take an offer just now; it will be tried again."""

    cart_id: str
    offer_id: str
    channel: ChannelName
    attempt: int
    reason: str
    until: datetime
    run_id: str = ""
    journey: str = ""
    journey_revision: int = 0
    template_revision: int | None = None


@event(key="offer_id")
class OfferSendDue(Event):
    """A held offer is to be tried again by a channel: the time that it was held until has come."""

    offer_id: str
    cart_id: str
    visitor_id: str
    channel: ChannelName


@event(key="cart_id")
class OfferFailed(Event):
    """An offer will not be sent: refused for good, undeliverable, or unknown after a crash (never sent twice)."""

    cart_id: str
    offer_id: str
    channel: ChannelName
    reason: str
    run_id: str = ""
    journey: str = ""
    journey_revision: int = 0
    template_revision: int | None = None


@event(key="cart_id")
class OfferWithdrawn(Event):
    """An offer was approved and not sent: the shopper bought, unsubscribed or changed the cart first."""

    cart_id: str
    offer_id: str
    channel: ChannelName
    reason: str
    run_id: str = ""
    journey: str = ""
    journey_revision: int = 0
    template_revision: int | None = None


@event(key="cart_id")
class OfferShown(Event):
    """An offer came into its shopper's view, as their browser reports: once for each browser."""

    cart_id: str
    visitor_id: str
    offer_id: str
    channel: ChannelName = "onsite"
    session_id: str | None = None
    customer_id: str | None = None


@event(key="cart_id")
class OfferClicked(Event):
    """A shopper followed an offer to the shop, as their browser reports."""

    cart_id: str
    visitor_id: str
    offer_id: str
    channel: ChannelName = "onsite"
    session_id: str | None = None
    customer_id: str | None = None


OpenedBy = Literal["person", "proxy", "machine", "unknown"]


@event(key="cart_id")
class OfferOpened(Event):
    """The picture in an offer's mail was loaded, as a mail program does that shows it, and many programs unasked.

    `by`: a `person`, on their own device; a `proxy` of the mail service, for a person; a `machine`, whether or not
    anybody looked at the mail; `unknown` where nothing tells. `reason` says by what that was told. Once for each offer
    and `by`. Nothing of the request is kept.
    """

    cart_id: str
    offer_id: str
    by: OpenedBy
    reason: str
    channel: ChannelName = "email"


@event(key="offer_id")
class OfferUnsubscribed(Event):
    """Somebody unsubscribed by the link in the message that an offer was sent with: nothing of who they are."""

    offer_id: str
    channel: ChannelName
