"""Picks: what each visitor may like now, as scoring says, on its way to open pages (server-sent events)."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from mesh import Received
from mesh.events.user import Recommendation, UserScored
from mesh.web.event_stream import Hub, server_sent_event
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
        return server_sent_event("picks", msgspec.json.encode({"items": items}), id=self.sequence)


class Picks:
    """Per visitor the newest recommendations of this shop's products, and the pages that want to hear the next."""

    def __init__(self, *, most: int = MOST_VISITORS) -> None:
        self._most = most
        self._newest: OrderedDict[str, Newest] = OrderedDict()
        self.pages: Hub[Newest] = Hub(queued=1)

    def hear(self, received: Received[UserScored]) -> None:
        """Take in a score. What is older than the newest is ignored, and so are products this shop has not.

        What the visitor looked at before comes last: a shop's window is for what is new to them.
        """
        visitor_id, known = received.event.visitor_id, self._newest.get(received.event.visitor_id)
        if known is not None and known.sequence >= received.sequence:
            return
        own = [_lean(one) for one in received.event.recommended if find(one.product_id) is not None]
        own.sort(key=lambda one: one.kind == "seen")
        newest = self._newest[visitor_id] = Newest(received.sequence, tuple(own))
        self._newest.move_to_end(visitor_id)
        if len(self._newest) > self._most:
            self._newest.popitem(last=False)
        if newest.recommended and (known is None or newest.recommended != known.recommended):
            self.pages.publish(visitor_id, newest)

    def close(self) -> None:
        """End every page's stream; browsers come back to another process."""
        self.pages.close()

    def pages_of(self, visitor_id: str) -> int:
        """How many pages a visitor has open here."""
        return self.pages.subscribers(visitor_id)

    def stream(self, visitor_id: str, language: str, *, heartbeat: float = 15.0) -> AsyncIterator[bytes]:
        """The bytes of an event stream for one page: the newest picks at once, then each change, until either goes."""

        def first() -> tuple[Newest, ...]:
            newest = self._newest.get(visitor_id)
            return (newest,) if newest is not None and newest.recommended else ()

        return self.pages.stream(visitor_id, lambda newest: newest.encode(language), first=first, heartbeat=heartbeat)


def _lean(one: Recommendation) -> Recommendation:
    """What a reason needs of a recommendation; name, price and picture are the catalogue's."""
    kept: dict[str, Any] = {"kind": one.kind, "with_product": one.with_product, "shoppers": one.shoppers}
    return Recommendation(product_id=one.product_id, reason=one.reason, **kept)
