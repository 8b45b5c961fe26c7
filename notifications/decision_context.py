"""Decision context: what decisions are made with, and what is asked to be decided."""

from datetime import datetime

import msgspec

from mesh.events.cart import CartScored
from mesh.events.offer import CART_ABANDONED
from notifications.journeys.live import LiveJourneys
from notifications.templates.live import LiveTemplates


class DecisionContext(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions are made with: the live journeys and templates, and the coupons' secret."""

    journeys: LiveJourneys
    templates: LiveTemplates
    secret: str


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be decided: an abandonment, for the `attempt`-th time, with its score where that is at hand.

    `journey` names the run whose timer fired, and `step` and `position` the step that it waited for; None: the first
    step of every run. A first attempt is always of every run that is undecided, so that journeys of higher priority
    are decided first. `asked` is when it could have been decided at the earliest. `trigger` is what the run was started
    by; where that is not a left cart, it is a run of one journey, and `abandonment_id` the id of an `OfferTriggered`.
    """

    cart_id: str
    abandonment_id: str
    attempt: int
    journey: str | None = None
    step: str = ""
    position: int = 1
    scored: CartScored | None = None
    asked: datetime | None = None
    trigger: str = CART_ABANDONED
