"""Picks: what each visitor may like now, as scoring says, on its way to open pages (server-sent events)."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from mesh import Received
from mesh.events.user import Recommendation, UserScored
from services.demo.storefront.catalogue import find
from services.demo.storefront.reasons import reason

MOST_VISITORS = 10_000


class PickSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many pages one process keeps open, how many of one visitor, and how often a silent one hears a comment."""

    pick_pages: int = 5_000
    pick_pages_each: int = 8
    pick_heartbeat: float = 15.0


class Newest(msgspec.Struct, frozen=True):
    """The newest recommendations of a visitor; `sequence` is their event's."""

    sequence: int
    recommended: tuple[Recommendation, ...]

    def encode(self, language: str) -> bytes:
        """A server-sent event whose reasons are in this language."""
        items = [{"product_id": one.product_id, "reason": reason(one, language)} for one in self.recommended]
        return b"id: %d\nevent: picks\ndata: %s\n\n" % (self.sequence, msgspec.json.encode({"items": items}))


class Page:
    """One open page, which wants only the newest picks."""

    def __init__(self) -> None:
        self._something = asyncio.Event()

    def wake(self) -> None:
        """Let `wait` return."""
        self._something.set()

    async def wait(self, seconds: float) -> None:
        """Return once there is something, or after so many seconds."""
        try:
            await asyncio.wait_for(self._something.wait(), seconds)
        except TimeoutError:
            return
        self._something.clear()


class Picks:
    """Per visitor the newest recommendations of this shop's products, and the pages that want to hear the next."""

    def __init__(self, *, most: int = MOST_VISITORS) -> None:
        self._most = most
        self._newest: OrderedDict[str, Newest] = OrderedDict()
        self._pages: dict[str, set[Page]] = {}
        self.open = 0
        self.closed = False

    def hear(self, received: Received[UserScored]) -> None:
        """Take in a score. What is older than the newest is ignored, and so are products this shop has not.

        What the visitor looked at before comes last: a shop's window is for what is new to them.
        """
        visitor_id, known = received.event.visitor_id, self._newest.get(received.event.visitor_id)
        if known is not None and known.sequence >= received.sequence:
            return
        own = [_lean(one) for one in received.event.recommended if find(one.product_id) is not None]
        own.sort(key=lambda one: one.kind == "seen")
        self._newest[visitor_id] = Newest(received.sequence, tuple(own))
        self._newest.move_to_end(visitor_id)
        if len(self._newest) > self._most:
            self._newest.popitem(last=False)
        for page in self._pages.get(visitor_id, ()):
            page.wake()

    def close(self) -> None:
        """End every page's stream; browsers come back to another process."""
        self.closed = True
        for page in [page for pages in self._pages.values() for page in pages]:
            page.wake()

    def pages_of(self, visitor_id: str) -> int:
        """How many pages a visitor has open here."""
        return len(self._pages.get(visitor_id, ()))

    async def stream(self, visitor_id: str, language: str, *, heartbeat: float = 15.0) -> AsyncIterator[bytes]:
        """The bytes of an event stream for one page: the newest picks at once, then each change, until either goes."""
        page, told = Page(), None
        self._pages.setdefault(visitor_id, set()).add(page)
        self.open += 1
        try:
            yield b"retry: 2000\n\n"
            while not self.closed:
                newest = self._newest.get(visitor_id)
                if newest is not None and newest.recommended and newest.recommended != told:
                    told = newest.recommended
                    yield newest.encode(language)
                    continue
                await page.wait(heartbeat)
                if self._newest.get(visitor_id) is newest and not self.closed:
                    yield b": still here\n\n"
        finally:
            self.open -= 1
            self._pages[visitor_id].discard(page)
            if not self._pages[visitor_id]:
                del self._pages[visitor_id]


def _lean(one: Recommendation) -> Recommendation:
    """What a reason needs of a recommendation; name, price and picture are the catalogue's."""
    kept: dict[str, Any] = {"kind": one.kind, "with_product": one.with_product, "shoppers": one.shoppers}
    return Recommendation(product_id=one.product_id, reason=one.reason, **kept)
