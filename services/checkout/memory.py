"""Memory: the checkouts' states as this process has stored them, so that a step need not ask for the one before.

A step is stored on condition that its state is still the newest, so that an outdated one does no harm: it is refused,
and decided again from what the stream's leader has. Where another process takes steps of the same checkouts, nearly
every state would be outdated: then this one remembers nothing for a while.
"""

import time
from dataclasses import dataclass

from cachetools import LRUCache

from mesh import Received
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.order import OrderCreated

MOST = 20_000
"""The most checkouts that are remembered."""
RESTS = 60.0
"""Seconds in which nothing is remembered after a state was outdated."""


@dataclass(frozen=True)
class Known:
    """A checkout's newest state and its place in the stream; None and 0 where it has not begun."""

    state: State | None
    sequence: int


class StateMemory:
    """What one process knows."""

    def __init__(self) -> None:
        self._known: LRUCache[str, Known] = LRUCache(MOST)
        self._tried: LRUCache[str, str] = LRUCache(MOST)
        """By order, the event that is being decided from memory."""
        self._rests_until = 0.0

    def take(self, received: Received) -> Known | None:
        """The state that an event finds, to be tried once; None where it is to be read.

        An order that was just created has none yet. An event that comes again was refused with what was remembered.
        """
        order_id, now = received.event.order_id, time.monotonic()
        known = self._known.pop(order_id, None)
        if self._tried.get(order_id) == received.id:
            del self._tried[order_id]
            self._rests_until = now + RESTS
        if now < self._rests_until:
            return None
        if known is None and isinstance(received.event, OrderCreated) and received.attempt < 2:
            known = Known(None, 0)
        if known is not None:
            self._tried[order_id] = received.id
        return known

    def note(self, state: State, sequence: int) -> None:
        """A state was stored here."""
        self._tried.pop(state.order_id, None)
        self._known[state.order_id] = Known(state, sequence)

    def settle(self, received: Received) -> None:
        """An event was decided from what the leader has: that it comes again says nothing of the memory."""
        if self._tried.get(received.event.order_id) == received.id:
            del self._tried[received.event.order_id]
