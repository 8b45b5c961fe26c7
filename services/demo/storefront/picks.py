"""What each visitor may like now, asked of scoring for open pages and sent to them (server-sent events)."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from mesh import MeshError
from mesh.events.user import Recommendation, Recommendations, RecommendationsRequest
from mesh.observability.logs import log
from mesh.web.event_stream import Hub, server_sent_event
from services.demo.storefront.catalogue import find
from services.demo.storefront.reasons import reason

MOST_VISITORS = 10_000
LONGEST_PAUSE = 30.0
"""Seconds after which an open page with nothing to show is asked for again at the latest."""
Ask = Callable[[RecommendationsRequest], Awaitable[Recommendations]]
"""Asks scoring; raises MeshError when it does not answer."""


class PickSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many pages one process keeps open, how many of one visitor, and how often an idle one is sent a comment."""

    pick_pages: int = 5_000
    pick_pages_each: int = 8
    pick_heartbeat: float = 15.0


class Newest(msgspec.Struct, frozen=True):
    """The newest recommendations of a visitor; `sequence` counts the answers of this process."""

    sequence: int
    recommended: tuple[Recommendation, ...]
    model_version: str | None

    def encode(self, language: str) -> bytes:
        """A server-sent event whose reasons are in this language."""
        items = [{"product_id": one.product_id, "reason": reason(one, language)} for one in self.recommended]
        picks = {"items": items, "model_version": self.model_version}
        return server_sent_event("picks", msgspec.json.encode(picks), id=self.sequence)


class Picks:
    """Per visitor the newest recommendations of this shop's products, and the pages that wait for the next."""

    def __init__(self, ask: Ask, *, most: int = MOST_VISITORS, pause: float = 1.0) -> None:
        self._ask, self._most, self._pause = ask, most, pause
        self._answers = 0
        self._wanted: dict[str, str | None] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._wanted_again: dict[str, asyncio.Event] = {}
        self._newest: OrderedDict[str, Newest] = OrderedDict()
        self.pages: Hub[Newest] = Hub(queued=1)

    def refresh(self, visitor_id: str, *, after: str | None = None) -> "asyncio.Task[None]":
        """Have it asked what a visitor may like, and sent to their pages; `after` is an event that must count.

        While an answer is awaited further calls for the same visitor only have it asked once more. Without an
        answer, or with nothing in it as long as little was learnt, it is asked again while the visitor has a page open.
        """
        self._wanted[visitor_id] = after
        if again := self._wanted_again.get(visitor_id):
            again.set()
        if visitor_id not in self._asking:
            task = self._asking[visitor_id] = asyncio.create_task(self._ask_for(visitor_id))
            task.add_done_callback(lambda _: self._asking.pop(visitor_id, None))
        return self._asking[visitor_id]

    async def _ask_for(self, visitor_id: str) -> None:
        again, pause = asyncio.Event(), self._pause
        self._wanted_again[visitor_id] = again
        try:
            while visitor_id in self._wanted:
                after = self._wanted.pop(visitor_id)
                if await self._answered(visitor_id, after) or not self.pages_of(visitor_id):
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(again.wait(), pause)
                again.clear()
                pause = min(2 * pause, LONGEST_PAUSE)
                self._wanted.setdefault(visitor_id, after)
        finally:
            del self._wanted_again[visitor_id]

    async def _answered(self, visitor_id: str, after: str | None) -> bool:
        """Ask, and say whether there is anything to show."""
        try:
            answer = await self._ask(RecommendationsRequest(visitor_id=visitor_id, after=after))
        except MeshError as error:
            log.warning("no recommendations", error=str(error))
            return False
        return self._keep(visitor_id, answer)

    def _keep(self, visitor_id: str, answer: Recommendations) -> bool:
        """Take in an answer, without products that this shop has not; whether any are left.

        What the visitor looked at before comes last: a shop's window is for what is new to them.
        """
        own = [_lean(one) for one in answer.products if find(one.product_id) is not None]
        own.sort(key=lambda one: one.kind == "seen")
        self._answers += 1
        known = self._newest.get(visitor_id)
        newest = self._newest[visitor_id] = Newest(self._answers, tuple(own), answer.model_version)
        self._newest.move_to_end(visitor_id)
        if len(self._newest) > self._most:
            self._newest.popitem(last=False)
        if newest.recommended and (known is None or newest.recommended != known.recommended):
            self.pages.publish(visitor_id, newest)
        return bool(newest.recommended)

    def close(self) -> None:
        """End every page's stream; browsers come back to another process."""
        self.pages.close()
        for task in self._asking.values():
            task.cancel()

    def pages_of(self, visitor_id: str) -> int:
        """How many pages a visitor has open here."""
        return self.pages.subscribers(visitor_id)

    def stream(self, visitor_id: str, language: str, *, heartbeat: float = 15.0) -> AsyncIterator[bytes]:
        """The bytes of an event stream for one page: the newest picks at once, then each change, until either goes."""

        def first() -> tuple[Newest, ...]:
            self.refresh(visitor_id)  # from here on the page is subscribed: no answer is missed
            newest = self._newest.get(visitor_id)
            return (newest,) if newest is not None and newest.recommended else ()

        return self.pages.stream(visitor_id, lambda newest: newest.encode(language), first=first, heartbeat=heartbeat)


def _lean(one: Recommendation) -> Recommendation:
    """What a reason needs of a recommendation; name, price and picture are the catalogue's."""
    kept: dict[str, Any] = {"kind": one.kind, "with_product": one.with_product, "shoppers": one.shoppers}
    return Recommendation(product_id=one.product_id, reason=one.reason, **kept)
