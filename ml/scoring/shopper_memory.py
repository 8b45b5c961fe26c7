"""Shoppers: the newest visitors in memory, everyone else from the log on demand.

Every replica consumes every event (a fan-out consumer), so memory is whole for who came while it ran. A visitor
who is not in memory is read from two places: interactions by visitor from their stream, carts and orders
(keyed by cart and order there) from the bucket `visitor-purchases`, which the service keeps per visitor.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial

import msgspec

from mesh import Bucket, Mesh
from mesh.envelope import Received
from mesh.observability.logs import log
from ml.clickstream.erased import Erased
from ml.clickstream.steps import INTERACTIONS, Step, step_of
from ml.scoring.shopper import Shopper

KEPT_STEPS = 100
"""Cart updates and orders kept per visitor in the bucket."""
AT_ONCE = 32
PATIENCE = timedelta(milliseconds=150)
"""How long a score waits for visitors to be read; then it is made from what is known."""
MOST_PATIENCE = timedelta(seconds=20)
"""How long the reading of a visitor goes on beside the scores that did not wait for it."""
BREATH = 500
"""Steps that are learned before others may use the event loop."""


class VisitorPurchases(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor's newest cart updates and orders, oldest first."""

    steps: tuple[Step, ...] = ()


SHOPPERS = Bucket("visitor-purchases", VisitorPurchases, ttl=timedelta(days=400), rebuilt=True, erasable=True)
"""Kept as long as the carts and orders themselves, so that serving knows what training knew."""


class Shoppers:
    """At most `most` visitors in memory, the least recently seen forgotten first."""

    def __init__(self, mesh: Mesh, *, most: int) -> None:
        self._mesh, self._purchases, self._most = mesh, mesh.state(SHOPPERS), most
        self._known: OrderedDict[str, Shopper] = OrderedDict()
        self._partial: set[str] = set()
        self._underway: dict[str, asyncio.Task[Exception | None]] = {}
        self.complete = False
        """Whether memory holds everything that the log does, so that who is not in it is new."""
        self._reading = asyncio.Semaphore(AT_ONCE)
        self.erased = Erased()
        """Whose steps are not learnt; read before anything is learnt or kept."""

    def learn(self, visitor: str, step: Step) -> bool:
        """A visitor's step; False when it was known, or belongs to somebody who was erased."""
        return not self.erased.covers(visitor, step.at) and self.of(visitor).learn(step)

    async def forget(self, visitor: str) -> list[Step]:
        """Forget what an erased visitor did (`erased`), in memory and in the bucket; the steps that were in memory.

        Every replica does it, after it has learnt of the erasure: one that kept a step meanwhile removes that as well.
        """
        known = self._known.get(visitor)
        forgotten = [step for step in known.steps if self.erased.covers(visitor, step.at)] if known else []
        if known is not None:
            self._known[visitor] = Shopper(step for step in known.steps if not self.erased.covers(visitor, step.at))
        stored = await self._purchases.get(visitor)
        if stored is not None and any(self.erased.covers(visitor, step.at) for step in stored.steps):
            await self._purchases.erase(visitor)
            await self.keep({visitor: stored.steps})
        return forgotten

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

    async def look_up(
        self,
        visitors: Collection[str],
        *,
        knowing: Mapping[str, str] | None = None,
        patience: timedelta = PATIENCE,
    ) -> None:
        """Read what memory lacks of these visitors, for a bounded time. A long history is read on for later scores.

        `knowing` names a step per visitor: where memory lacks it, this replica is behind and reads the log.
        """
        for visitor, step in (knowing or {}).items():
            if step not in self.of(visitor).known:
                self._partial.add(visitor)
        lacking = [visitor for visitor in visitors if self.of(visitor) is not None and visitor in self._partial]
        if not lacking:
            return
        reading = [self._underway.get(visitor) or self._begin_to_read(visitor) for visitor in lacking]
        done, late = await asyncio.wait(reading, timeout=patience.total_seconds())
        failed = [error for task in done if (error := task.result()) is not None]
        if late or failed:
            why = repr(failed[0]) if failed else "late"
            log.warning("scored without the past of some visitors", visitors=len(late) + len(failed), why=why)

    async def keep(self, steps: Mapping[str, Collection[Step]]) -> None:
        """Put visitors' cart updates and orders into the bucket. Twice is once, and what was erased is left out."""
        lasting = {
            visitor: [step for step in done if not self.erased.covers(visitor, step.at)]
            for visitor, done in steps.items()
        }
        await self._purchases.update_each({one: partial(_with, steps=done) for one, done in lasting.items() if done})
        for visitor, done in lasting.items():
            if any(self.erased.covers(visitor, step.at) for step in done):  # erased while they were being kept
                await self.forget(visitor)

    def _begin_to_read(self, visitor: str) -> "asyncio.Task[Exception | None]":
        task = self._underway[visitor] = asyncio.create_task(self._read(visitor))
        task.add_done_callback(lambda _: self._underway.pop(visitor, None))
        return task

    async def _read(self, visitor: str) -> Exception | None:
        """Put a visitor's whole past into memory; the error where that failed."""
        try:
            async with self._reading, asyncio.timeout(MOST_PATIENCE.total_seconds()):
                stored, past = await asyncio.gather(
                    self._purchases.get(visitor), self._mesh.history(visitor, "interaction")
                )
                read = await _whole(visitor, stored.steps if stored else (), past, self.erased)
        except Exception as error:  # noqa: BLE001  whatever it is, scores are made from what is known
            return error
        if visitor in self._partial:  # neither forgotten meanwhile, nor learnt from the log
            for step in self._known[visitor].steps:
                read.learn(step)
            self._known[visitor] = read
            self._partial.discard(visitor)
        return None


def _with(stored: VisitorPurchases | None, *, steps: Collection[Step]) -> VisitorPurchases:
    held = {step.id: step for step in stored.steps} if stored else {}
    fresh = {step.id: step for step in steps if step.id not in held}
    if stored and not fresh:
        return stored
    kept = sorted({**held, **fresh}.values(), key=lambda step: (step.at, step.id))[-KEPT_STEPS:]
    return VisitorPurchases(steps=tuple(kept))


async def _whole(visitor: str, stored: Collection[Step], past: Iterable[Received], erased: Erased) -> Shopper:
    """A shopper from everything that was read, oldest first; others go on meanwhile, however much it is."""
    steps = {step.id: step for step in stored}
    for n, received in enumerate(past):
        if isinstance(received.event, INTERACTIONS):
            step = step_of(received)
            steps[step.id] = step
        if n % BREATH == BREATH - 1:
            await asyncio.sleep(0)
    shopper = Shopper()
    lasting = (step for step in steps.values() if not erased.covers(visitor, step.at))
    for n, step in enumerate(sorted(lasting, key=lambda step: (step.at, step.id))):
        shopper.learn(step)
        if n % BREATH == BREATH - 1:
            await asyncio.sleep(0)
    return shopper
