"""Live: the offers that a storefront shows, and their way to the pages that are open (server-sent events).

A card is asked for once a page of its visitor is open (`services.gateway.awaited_offers`), and shown when it was made.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import msgspec
from cachetools import LRUCache

from mesh import Received
from mesh.channels import ONSITE
from mesh.events.cart import CartClosed, CartConverted
from mesh.events.offer import Card, OfferDecided, OfferSent
from mesh.events.order import OrderPlaced
from mesh.web.event_stream import Hub, server_sent_event
from services.gateway.awaited_offers import AwaitedOffers

MOST_VISITORS = 100_000
MOST_WAITING = 16


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many pages one process keeps open, how many of one visitor, and how often an idle one is sent a comment."""

    live_pages: int = 10_000
    live_pages_each: int = 8
    live_heartbeat: float = 15.0


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to a page. Without a card the offer is withdrawn."""

    offer_id: str
    cart_id: str
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A server-sent event; its id is the sequence of the event it follows from."""

    id: int
    name: Literal["offer", "withdrawn"]
    shown: Shown

    def encode(self) -> bytes:
        """Its bytes."""
        return server_sent_event(self.name, msgspec.json.encode(self.shown), id=self.id)


class LiveOffers:
    """Per visitor the latest notice and the offer that awaits a page, and the open pages that get the next."""

    def __init__(self) -> None:
        self._latest: LRUCache[str, Notice] = LRUCache(MOST_VISITORS)
        self._visitor_of: LRUCache[str, str] = LRUCache(MOST_VISITORS)
        self.pages: Hub[Notice] = Hub(queued=MOST_WAITING)
        self.awaited = AwaitedOffers(most=MOST_VISITORS)

    def apply(self, received: Received) -> None:
        """Ask for, show, replace or withdraw a card. What is older than the latest is ignored."""
        match received.event:
            case OfferDecided(outcome="approved", channels=channels) if ONSITE.name in channels:
                self._await_page(received)
            case OfferSent(channel=ONSITE.name, card=Card() as card) as sent:
                self.awaited.remove(sent.visitor_id, offer_id=sent.offer_id)
                shown = Shown(offer_id=sent.offer_id, cart_id=sent.cart_id, card=card)
                self._notify(sent.visitor_id, Notice(received.sequence, "offer", shown))
            case CartConverted(cart_id=cart_id) | CartClosed(cart_id=cart_id):
                self._withdraw(self._visitor_of.get(cart_id), received.sequence, cart_id)
            case OrderPlaced(visitor_id=visitor_id):
                self._withdraw(visitor_id, received.sequence, None)

    def close(self) -> None:
        """End every page's stream; browsers come back to another gateway with the last id they received."""
        self.pages.close()

    def pages_of(self, visitor_id: str) -> int:
        """How many pages a visitor has open here."""
        return self.pages.subscribers(visitor_id)

    def current(self, visitor_id: str, behind: int | None) -> Notice | None:
        """What is sent at once to a page that connects; to one that has received up to `behind`, only what is newer."""
        latest = self._latest.get(visitor_id)
        if latest is None or (behind is not None and latest.id <= behind):
            return None
        return latest if latest.name == "offer" or behind is not None else None

    def stream(self, visitor_id: str, *, behind: int | None = None, heartbeat: float = 15.0) -> AsyncIterator[bytes]:
        """The bytes of an event stream for one page, until it or the gateway goes."""

        def first() -> tuple[Notice, ...]:
            now = self.current(visitor_id, behind)
            awaited = self.awaited.request(visitor_id)
            if now is None or (awaited and awaited.sequence > now.id):
                return ()  # the newer offer's card follows in a moment
            return (now,)

        return self.pages.stream(visitor_id, Notice.encode, first=first, heartbeat=heartbeat)

    def _await_page(self, received: Received[OfferDecided]) -> None:
        visitor_id, latest = received.event.visitor_id, self._latest.get(received.event.visitor_id)
        if latest and latest.id >= received.sequence:
            return
        self.awaited.add(received)
        self._visitor_of[received.event.cart_id] = visitor_id
        if self.pages_of(visitor_id):
            self.awaited.request(visitor_id)

    def _withdraw(self, visitor_id: str | None, sequence: int, cart_id: str | None) -> None:
        if visitor_id:
            self.awaited.remove(visitor_id, cart_id=cart_id)
        latest = self._latest.get(visitor_id) if visitor_id else None
        if visitor_id and latest and latest.name == "offer" and cart_id in (None, latest.shown.cart_id):
            gone = Shown(offer_id=latest.shown.offer_id, cart_id=latest.shown.cart_id)
            self._notify(visitor_id, Notice(sequence, "withdrawn", gone))

    def _notify(self, visitor_id: str, notice: Notice) -> None:
        latest = self._latest.get(visitor_id)
        if latest and latest.id >= notice.id:
            return
        self._latest[visitor_id] = notice
        self._visitor_of[notice.shown.cart_id] = visitor_id
        self.pages.publish(visitor_id, notice)
