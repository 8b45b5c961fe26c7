"""Shoppers: the newest visitors in memory, everyone else from the log on demand.

Every replica hears every event (a fan-out consumer), so memory is whole for who came while it ran. A visitor
who is not in memory is read from two places: interactions by visitor from their stream, carts and orders
(keyed by cart and order there) from the bucket `visitor-books`, which the service keeps per visitor.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from datetime import timedelta

import msgspec

from mesh import Bucket, Mesh
from mesh.envelope import Received
from mesh.errors import Conflict
from mesh.telemetry import log
from ml.shopper import Shopper
from ml.steps import INTERACTIONS, Step, step_of

KEPT_STEPS = 30
"""Cart updates and orders kept per visitor in the bucket."""
AT_ONCE = 32
PATIENCE = timedelta(milliseconds=150)
"""How long a score waits for visitors to be read; then it is made from what is known."""


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor's newest cart updates and orders, oldest first."""

    steps: tuple[Step, ...] = ()


SHOPPERS = Bucket("visitor-books", Books, ttl=timedelta(days=90), rebuilt=True)


class Shoppers:
    """At most `most` visitors in memory, the least recently seen forgotten first."""

    def __init__(self, mesh: Mesh, *, most: int) -> None:
        self._mesh, self._books, self._most = mesh, mesh.state(SHOPPERS), most
        self._known: OrderedDict[str, Shopper] = OrderedDict()
        self._partial: set[str] = set()
        self.complete = False
        """Whether memory holds everything that the log does, so that who is not in it is new."""
        self._reading = asyncio.Semaphore(AT_ONCE)

    def learn(self, visitor: str, step: Step) -> bool:
        """A visitor's step; False when it was known."""
        return self.of(visitor).learn(step)

    def of(self, visitor: str) -> Shopper:
        """A visitor as far as known in memory."""
        shopper = self._known.get(visitor)
        if shopper is None:
            shopper = self._known[visitor] = Shopper()
            if not self.complete:
                self._partial.add(visitor)
            if len(self._known) > self._most:
                forgotten, _ = self._known.popitem(last=False)
                self._partial.discard(forgotten)
                self.complete = False
        else:
            self._known.move_to_end(visitor)
        return shopper

    def settle(self) -> None:
        """Everything that the log holds was learnt."""
        self.complete = True
        self._partial.clear()

    async def look_up(self, visitors: Collection[str]) -> None:
        """Read what memory lacks of these visitors, for a bounded time."""
        lacking = [visitor for visitor in visitors if self.of(visitor) is not None and visitor in self._partial]
        if not lacking:
            return
        reading = [asyncio.create_task(self._read(visitor)) for visitor in lacking]
        done, late = await asyncio.wait(reading, timeout=PATIENCE.total_seconds())
        for task in late:
            task.cancel()
        failed = [error for task in done if (error := task.exception()) is not None]
        if late or failed:
            why = repr(failed[0]) if failed else "late"
            log.warning("scored without the past of some visitors", visitors=len(late) + len(failed), why=why)

    async def keep(self, visitor: str, steps: Collection[Step]) -> None:
        """Put a visitor's cart updates and orders into the bucket. Twice is once."""
        while True:
            books, revision = await self._books.entry(visitor)
            held = {step.id: step for step in books.steps} if books else {}
            fresh = {step.id: step for step in steps if step.id not in held}
            if not fresh:
                return
            kept = sorted({**held, **fresh}.values(), key=lambda step: (step.at, step.id))[-KEPT_STEPS:]
            try:
                await self._books.put(visitor, Books(steps=tuple(kept)), revision=revision)
            except Conflict:
                continue
            return

    async def _read(self, visitor: str) -> None:
        async with self._reading:
            books, past = await asyncio.gather(self._books.get(visitor), self._mesh.history(visitor, "interaction"))
        for step in (*(books.steps if books else ()), *map(step_of, filter(_is_interaction, past))):
            self.learn(visitor, step)
        self._partial.discard(visitor)


def _is_interaction(received: Received) -> bool:
    return isinstance(received.event, INTERACTIONS)
