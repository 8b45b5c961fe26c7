"""Live: the offers that a storefront shows, and their way to the pages that are open (server-sent events)."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from mesh import Received
from mesh.events.cart import CartClosed, CartConverted
from mesh.events.offer import Card, OfferSent
from mesh.events.order import OrderPlaced

MOST_VISITORS = 100_000
MOST_WAITING = 16


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many pages one process keeps open, how many of one visitor, and how often a silent one hears a comment."""

    live_pages: int = 10_000
    live_pages_each: int = 8
    live_heartbeat: float = 15.0


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is told. Without a card the offer is withdrawn."""

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
        """Its bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream ."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.id, self.name.encode(), msgspec.json.encode(self.shown))


class Page:
    """One open page: what it has not been told yet. A slow one misses the oldest, never the newest."""

    def __init__(self) -> None:
        self._waiting: deque[Notice] = deque(maxlen=MOST_WAITING)
        self._something = asyncio.Event()

    def tell(self, notice: Notice) -> None:
        """Queue a notice."""
        self._waiting.append(notice)
        self._something.set()

    def wake(self) -> None:
        """Let `next` return."""
        self._something.set()

    async def next(self, wait: float) -> Notice | None:
        """The next notice, or None after `wait` seconds of silence."""
        if not self._waiting:
            self._something.clear()
            try:
                await asyncio.wait_for(self._something.wait(), wait)
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None


class Board:
    """Per visitor the newest notice, and the pages that want to hear the next."""

    def __init__(self) -> None:
        self._newest: OrderedDict[str, Notice] = OrderedDict()
        self._visitor_of: OrderedDict[str, str] = OrderedDict()
        self._pages: dict[str, set[Page]] = {}
        self.open = 0
        self.closed = asyncio.Event()

    def hear(self, received: Received) -> None:
        """Show, replace or withdraw a card. What is older than the newest is ignored."""
        match received.event:
            case OfferSent(channel="onsite", card=Card() as card) as sent:
                shown = Shown(offer_id=sent.offer_id, cart_id=sent.cart_id, card=card)
                self._tell(sent.visitor_id, Notice(received.sequence, "offer", shown))
            case CartConverted(cart_id=cart_id) | CartClosed(cart_id=cart_id):
                self._withdraw(self._visitor_of.get(cart_id), received.sequence, cart_id)
            case OrderPlaced(visitor_id=visitor_id):
                self._withdraw(visitor_id, received.sequence, None)

    def close(self) -> None:
        """End every page's stream; browsers come back to another gateway with what they heard last."""
        self.closed.set()
        for page in [page for pages in self._pages.values() for page in pages]:
            page.wake()

    def pages_of(self, visitor_id: str) -> int:
        """How many pages a visitor has open here."""
        return len(self._pages.get(visitor_id, ()))

    def current(self, visitor_id: str, behind: int | None) -> Notice | None:
        """What a page that connects is told at once; one that has heard up to `behind` only what is newer."""
        newest = self._newest.get(visitor_id)
        if newest is None or (behind is not None and newest.id <= behind):
            return None
        return newest if newest.name == "offer" or behind is not None else None

    async def stream(
        self, visitor_id: str, *, behind: int | None = None, heartbeat: float = 15.0
    ) -> AsyncIterator[bytes]:
        """The bytes of an event stream for one page, until it or the gateway goes."""
        page, now = Page(), self.current(visitor_id, behind)
        self._pages.setdefault(visitor_id, set()).add(page)
        self.open += 1
        try:
            yield b"retry: 2000\n\n"
            if now is not None:
                yield now.encode()
            while not self.closed.is_set():
                notice = await page.next(heartbeat)
                if notice is None and self.closed.is_set():
                    return
                yield notice.encode() if notice else b": still here\n\n"
        finally:
            self.open -= 1
            self._pages[visitor_id].discard(page)
            if not self._pages[visitor_id]:
                del self._pages[visitor_id]

    def _withdraw(self, visitor_id: str | None, sequence: int, cart_id: str | None) -> None:
        newest = self._newest.get(visitor_id) if visitor_id else None
        if visitor_id and newest and newest.name == "offer" and cart_id in (None, newest.shown.cart_id):
            gone = Shown(offer_id=newest.shown.offer_id, cart_id=newest.shown.cart_id)
            self._tell(visitor_id, Notice(sequence, "withdrawn", gone))

    def _tell(self, visitor_id: str, notice: Notice) -> None:
        newest = self._newest.get(visitor_id)
        if newest and newest.id >= notice.id:
            return
        self._newest[visitor_id] = notice
        self._newest.move_to_end(visitor_id)
        self._visitor_of[notice.shown.cart_id] = visitor_id
        self._visitor_of.move_to_end(notice.shown.cart_id)
        for known in (self._newest, self._visitor_of):
            while len(known) > MOST_VISITORS:
                known.popitem(last=False)
        for page in self._pages.get(visitor_id, ()):
            page.tell(notice)
