"""What followed from each abandonment, put together from the streams and the mail server's record."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from mesh import Event, Received
from mesh.channels import ONSITE
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartUpdated
from mesh.events.offer import OfferDecided, OfferFailed, OfferSent, OfferWithdrawn
from mesh.events.order import OrderPlaced
from services.demo.replay.evidence import Evidence, Mail

Outcome = Literal["undecided", "held", "dropped", "open", "unseen", "sent", "shown", "withdrawn", "failed"]


@dataclass(kw_only=True)
class Abandonment:
    """One journey's run for an abandonment and all that followed, or an abandonment without a decision.

    `purchase` is the first one that the decision should have known of.
    """

    region: str
    abandoned: Received[CartAbandoned]
    left: Received[CartUpdated] | None = None
    decisions: list[Received[OfferDecided]] = field(default_factory=list)
    outcomes: list[Received[Event]] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    purchase: Received[Event] | None = None

    @property
    def offer_id(self) -> str | None:
        """The offer's id, once something was decided."""
        return self.decisions[-1].event.offer_id if self.decisions else None

    @property
    def decided(self) -> Received[OfferDecided] | None:
        """The decision that approved the offer, or else the newest."""
        approved = [made for made in self.decisions if made.event.outcome == "approved"]
        return (approved or self.decisions or [None])[-1]

    @property
    def outcome(self) -> Outcome:
        """What became of the offer. A mail that the server took counts as sent whatever the streams say."""
        if self.mails:
            return "sent"
        if self.decided is None:
            return "undecided"
        if self.decided.event.outcome != "approved":
            return self.decided.event.outcome
        for kind, outcome in ((OfferSent, "shown"), (OfferWithdrawn, "withdrawn"), (OfferFailed, "failed")):
            if any(isinstance(outcome.event, kind) for outcome in self.outcomes):
                return outcome
        return "unseen" if self.decided.event.channels == (ONSITE.name,) else "open"

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come of it: decided, and an approved offer that is mailed has an outcome.

        A card on the site is made when a page of its shopper opens, which may be never.
        """
        if self.decided is None:
            return False
        if self.decided.event.outcome != "approved":
            return True
        reached = {outcome.event.channel for outcome in self.outcomes}
        expected = set(self.decided.event.channels) - {ONSITE.name}
        return expected <= reached and bool(reached or self.outcome == "unseen")

    @property
    def wrong(self) -> bool:
        """Whether a mail went out although the decision should have known of a purchase."""
        return bool(self.mails) and self.purchase is not None

    @property
    def due_to_smtp(self) -> timedelta | None:
        """From the moment the cart's timer was due until the mail server took the first mail; None if held before."""
        if not self.mails or any(made.event.outcome == "held" for made in self.decisions):
            return None
        return min(mail.accepted_at for mail in self.mails) - self.abandoned.event.due


def abandonments(evidence: Evidence) -> list[Abandonment]:
    """Every abandonment, by region and order of abandonment."""
    mails: dict[str, list[Mail]] = defaultdict(list)
    for mail in evidence.mails:
        mails[mail.offer_id].append(mail)
    found = []
    for region in evidence.regions:
        stored = [happened for happened in evidence.stored if happened.region == region]
        found += _of_region(region, stored, evidence.copies.get(region, []), mails)
    return found


def _of_region(
    region: str, stored: list[Received[Event]], copies: list[Received[Event]], mails: dict[str, list[Mail]]
) -> list[Abandonment]:
    found: dict[str, Abandonment] = {}
    runs: dict[tuple[str, str, str], Abandonment] = {}
    updates: dict[str, list[Received[CartUpdated]]] = defaultdict(list)
    for happened in sorted(stored, key=lambda one: one.sequence):
        match happened.event:
            case CartUpdated(cart_id=cart):
                updates[cart].append(happened)
            case CartAbandoned(cart_id=cart):
                before = [update for update in updates[cart] if update.sequence < happened.sequence]
                found[happened.id] = Abandonment(region=region, abandoned=happened, left=before[-1] if before else None)
            case OfferDecided(abandonment_id=name, journey=journey, step=step) if name in found:
                run = runs.setdefault((name, journey, step), replace(found[name], decisions=[], outcomes=[]))
                run.decisions.append(happened)
    decided = {name for name, *_ in runs}
    every = [*runs.values(), *(abandonment for name, abandonment in found.items() if name not in decided)]
    every.sort(key=lambda abandonment: abandonment.abandoned.sequence)
    offers = {abandonment.offer_id: abandonment for abandonment in every if abandonment.offer_id}
    for happened in stored:
        if isinstance(happened.event, OfferSent | OfferFailed | OfferWithdrawn) and happened.event.offer_id in offers:
            offers[happened.event.offer_id].outcomes.append(happened)
    for offer_id, abandonment in offers.items():
        abandonment.mails = mails.get(offer_id, [])
    bought = _Purchases(stored, copies)
    for abandonment in every:
        abandonment.purchase = bought.known_to(abandonment)
    return every


class _Purchases:
    """What a region knew of purchases: its own by their sequence, others' by their arrival in MESH."""

    def __init__(self, stored: list[Received[Event]], copies: list[Received[Event]]) -> None:
        self._own: dict[str, list[Received[Event]]] = defaultdict(list)
        self._others: dict[str, list[Received[Event]]] = defaultdict(list)
        for happened in stored:
            if isinstance(happened.event, OrderPlaced | CartConverted | CartClosed):
                for key in _keys(happened.event):
                    self._own[key].append(happened)
        for happened in copies:
            if isinstance(happened.event, OrderPlaced):
                for key in _keys(happened.event):
                    self._others[key].append(happened)

    def known_to(self, abandonment: Abandonment) -> Received[Event] | None:
        """The first purchase after the cart was left that stood in the region before the decision."""
        decided, left = abandonment.decided, abandonment.left or abandonment.abandoned
        if decided is None:
            return None
        keys = _keys(abandonment.abandoned.event)
        own = (one for key in keys for one in self._own[key] if left.sequence < one.sequence < decided.sequence)
        others = (one for key in keys for one in self._others[key] if left.stored < one.stored < decided.stored)
        return min((*own, *others), key=_stored, default=None)


def _keys(event: CartAbandoned | OrderPlaced | CartConverted | CartClosed) -> set[str]:
    """By what a purchase and a cart belong together: the cart itself, its visitor, or its customer."""
    keys = {f"visitor {event.visitor_id}"}
    if event.cart_id:
        keys.add(f"cart {event.cart_id}")
    if customer := getattr(event, "customer_id", None):
        keys.add(f"customer {customer}")
    return keys


def _stored(happened: Received[Event]) -> datetime:
    return happened.stored
