"""Awaited offers: offers for the site whose card nobody has asked for yet, and the requests of pages that open.

Most shoppers of left carts have no page open, and many never come back: a card is made once somebody can see it.
"""

import asyncio
from dataclasses import dataclass

from cachetools import LRUCache

from mesh import Mesh, Received
from mesh.errors import MeshError
from mesh.events.offer import OfferDecided, OfferRequested
from mesh.observability.logs import log
from mesh.observability.tracing import child_trace
from mesh.publish import Cause, Draft

PAUSE = 1.0
"""Seconds until a request is stored again that could not be stored."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """An approved offer: the id and the place of its decision, and what a page that opens asks for."""

    decision: str
    sequence: int
    request: OfferRequested
    traceparent: str | None


class AwaitedOffers:
    """Of each visitor the newest offer that is awaited, for at most `most` visitors."""

    def __init__(self, *, most: int) -> None:
        self._of: LRUCache[str, Awaited] = LRUCache(most)
        self._requested: asyncio.Queue[Awaited] = asyncio.Queue()

    def add(self, received: Received[OfferDecided]) -> None:
        """Keep an approved offer until its visitor has a page open."""
        decided = received.event
        self._of[decided.visitor_id] = Awaited(
            decision=received.id,
            sequence=received.sequence,
            request=OfferRequested(cart_id=decided.cart_id, visitor_id=decided.visitor_id, offer_id=decided.offer_id),
            traceparent=child_trace(received.traceparent) if received.traceparent else None,
        )

    def remove(self, visitor_id: str, *, cart_id: str | None = None, offer_id: str | None = None) -> None:
        """Forget a visitor's offer, or only that of a cart, or only one offer."""
        awaited = self._of.get(visitor_id)
        if (
            awaited is not None
            and cart_id in (None, awaited.request.cart_id)
            and offer_id in (None, awaited.request.offer_id)
        ):
            del self._of[visitor_id]

    def request(self, visitor_id: str) -> Awaited | None:
        """A page of the visitor is open: ask for their offer's card, once. Returns what was asked for."""
        awaited: Awaited | None = self._of.pop(visitor_id, None)
        if awaited is not None:
            self._requested.put_nowait(awaited)
        return awaited

    async def publish_requests(self, mesh: Mesh) -> None:
        """Store what is asked for. Runs until cancelled; what cannot be stored is stored later."""
        while True:
            asked = [await self._requested.get()]
            while not self._requested.empty():
                asked.append(self._requested.get_nowait())
            await asyncio.gather(*(self._publish(one, mesh) for one in asked))

    async def _publish(self, awaited: Awaited, mesh: Mesh) -> None:
        # The same id whichever gateway the page is connected to: an offer is asked for once.
        cause = Cause(id=awaited.decision, source="gateway.request-offer", event=awaited.decision)
        try:
            await mesh.publish(Draft(event=awaited.request, traceparent=awaited.traceparent), cause=cause)
        except MeshError as error:
            log.warning("offer not asked for yet", offer=awaited.request.offer_id, error=str(error))
            asyncio.get_running_loop().call_later(PAUSE, self._requested.put_nowait, awaited)
