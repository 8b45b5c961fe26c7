"""Code index: how many codes of each list and journey are in which state, the newest redemptions, and the budgets.

Kept in memory of each process, from the region's own events and the others' copies; a process that starts reads them
from their beginning. Of a code nothing is kept, so that memory does not grow with codes.
"""

import asyncio
from collections import Counter, deque
from datetime import datetime

import msgspec

from mesh import Mesh, Money, Received
from mesh.events.budget import BudgetChanged
from mesh.events.code import CodeChanged
from mesh.streams import mesh_stream

NEWEST = 100
"""The most redemptions that are shown."""


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """A code that was redeemed: of a list or a journey, by which order, and what that came to."""

    at: datetime
    region: str
    source: str
    order_id: str
    amount: Money | None
    code_id: str


class CodeIndex:
    """What the page of offers and codes shows."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.states: dict[str, Counter[str]] = {}
        """Journey -> state -> how many of its codes."""
        self.newest: deque[Redemption] = deque(maxlen=NEWEST)
        self.budgets: dict[tuple[str, str], BudgetChanged] = {}
        """Journey and region -> what is committed of the region's part."""
        self.read = False
        self._places: dict[tuple[str, type], int] = {}
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Read on."""
        async with self._turn:
            for kind in (CodeChanged, BudgetChanged):
                own = self.mesh.stream_of(kind)
                for stream in (own, mesh_stream(self.mesh.region)) if self.mesh.others else (own,):
                    after = self._places.get((stream, kind), 0)
                    async for received in self.mesh.read(kind, stream=stream, after=after):
                        self._places[stream, kind] = received.sequence
                        self._apply(received)
            self.read = True

    def _apply(self, received: Received[CodeChanged] | Received[BudgetChanged]) -> None:
        changed = received.event
        if isinstance(changed, BudgetChanged):
            self.budgets[changed.journey, received.region] = changed
            return
        states = self.states.setdefault(changed.journey or changed.list_name, Counter())
        states[changed.state] += 1
        if changed.before:
            states[changed.before] -= 1
        if changed.state == "redeemed" and changed.holder:
            self.newest.appendleft(
                Redemption(
                    at=received.stored,
                    region=received.region,
                    source=changed.list_name or changed.journey,
                    order_id=changed.holder.order_id,
                    amount=changed.holder.amount,
                    code_id=changed.code_id,
                )
            )
