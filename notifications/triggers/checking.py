"""Checking: a look at the log for each journey that something else than a left cart starts.

What was found and how far the log was read are one commit, on condition that nobody else has looked further meanwhile:
so every occasion starts one run, whichever process looks, is killed, or looks twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Mesh, Received, Unchanged
from mesh.errors import Conflict, MeshError, Unavailable
from mesh.events.trigger import TriggerChecked
from mesh.observability.logs import log
from mesh.publish import Change
from notifications.journeys import Journey
from notifications.journeys.live import LiveJourneys
from notifications.journeys.triggers import BROWSE_ABANDONED, has_cart
from notifications.triggers.crediting import credited_orders
from notifications.triggers.found import Found, Part
from notifications.triggers.left_carts import LeftCarts, read_news
from notifications.triggers.orders import orders_without_another
from notifications.triggers.views import abandoned_views

AT_A_TIME = 100
"""How many runs one commit starts at most: a server takes 1,000 messages in one."""
PARTS = 200
"""How many parts of the log one look takes up; the next look goes on."""


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`trigger_check` is how often it is looked for what starts a journey, where one with such a trigger is on."""

    trigger_check: timedelta = timedelta(minutes=2)


class Checks:
    """When to look next, in this process."""

    def __init__(self, period: timedelta) -> None:
        self._period, self._next = period, datetime.min.replace(tzinfo=UTC)

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to look."""
        if now < self._next:
            return False
        self._next = now + self._period
        return True


async def check_triggers(journeys: LiveJourneys, mesh: Mesh, now: datetime) -> int:
    """Look for every journey once, and say how many runs were started. What fails is looked for again next time."""
    started = 0
    for live in journeys.triggered:
        try:
            started += await check_trigger(live.journey, mesh, now)
        except Conflict:
            log.info("another process looks for the same trigger", journey=live.name)
        except MeshError as error:
            log.warning(
                "what starts a journey could not be looked for; it is tried again", journey=live.name, error=str(error)
            )
    return started


async def check_trigger(journey: Journey, mesh: Mesh, now: datetime) -> int:
    """Look for one journey. Raises Conflict where another process was quicker, and Unavailable."""
    known, on = await mesh.last(TriggerChecked, journey.name), journey.is_on_in(mesh.region)
    if known is None and not on:
        return 0
    look = _Look(journey, mesh, known)
    wanted = (on, journey.trigger, journey.triggered_after)
    if known is None or (known.event.on, known.event.trigger, known.event.after) != wanted:
        after = journey.triggered_after
        begun = TriggerChecked(
            journey=journey.name, trigger=journey.trigger, on=on, after=after, since=now - after, begun=now
        )
        await look.store(begun)
    if not on:
        return 0
    return await (look.through_left_carts(now) if has_cart(journey.trigger) else look.through_the_log(now))


class _Look:
    """A look for one journey: how far it has come is what was stored last."""

    def __init__(self, journey: Journey, mesh: Mesh, known: Received[TriggerChecked] | None) -> None:
        self._journey, self._mesh, self._known, self._started = journey, mesh, known, 0

    async def store(
        self, checked: TriggerChecked, found: Sequence[Found] = (), credited: Sequence[Change] = ()
    ) -> None:
        """Start the runs of what was found, and say how far it was looked. Raises Conflict, Unavailable."""
        name = self._journey.name
        condition = Unchanged(TriggerChecked, name, self._known.sequence if self._known else 0)
        runs = [change for one in found for change in one.changes(self._mesh.region)]
        await self._mesh.publish(*runs, *credited, msgspec.structs.replace(checked, found=len(found)), condition)
        self._started += len(found)
        self._known = await self._mesh.last(TriggerChecked, name)

    async def through_the_log(self, now: datetime) -> int:
        """Take up what has become old enough, and credit what was ordered since."""
        read_part = abandoned_views if self._journey.trigger == BROWSE_ABANDONED else orders_without_another
        for _ in range(PARTS):
            checked = self._checked
            part = await read_part(self._journey, checked, now, self._mesh)
            if part is None:
                break
            await self._store_part(part, checked, msgspec.structs.replace(checked, sequence=part.upto))
        while (credited := await credited_orders(self._journey, self._checked, self._mesh)) is not None:
            await self.store(msgspec.structs.replace(self._checked, orders=credited.upto), credited=credited.changes)
        return self._started

    async def through_left_carts(self, now: datetime) -> int:
        """Look through the left carts for what is new of products, if anything is."""
        news = await read_news(self._journey, self._checked, self._mesh)
        if not news.upto:
            return 0
        carts, scanned = LeftCarts(self._journey, news, self._mesh), self._checked.scanned
        while (part := await carts.part(scanned, now)) is not None:
            scanned = part.upto
            if part.found:
                checked = msgspec.structs.replace(self._checked, until=news.upto)
                await self._store_part(part, checked, msgspec.structs.replace(checked, scanned=scanned))
        await self.store(msgspec.structs.replace(self._checked, sequence=news.upto, until=0, scanned=0))
        return self._started

    async def _store_part(self, part: Part, before: TriggerChecked, after: TriggerChecked) -> None:
        """Store what a part came to; of more than one commit can hold, that it was read is in the last one.

        Who begins with it again passes over what was stored.
        """
        rest = part.found
        while len(rest) > AT_A_TIME:
            await self.store(before, rest[:AT_A_TIME])
            rest = rest[AT_A_TIME:]
        await self.store(after, rest)

    @property
    def _checked(self) -> TriggerChecked:
        """What was stored last. Raises Unavailable where it cannot be read."""
        if self._known is None:
            raise Unavailable(
                f"{self._mesh.region}: how far journey {self._journey.name} was looked for cannot be read"
            )
        return self._known.event
