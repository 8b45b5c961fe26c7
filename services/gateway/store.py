"""Store: for each valid event decide, plan, commit; it is stored, was stored before, or is refused with a reason."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec

from mesh import Mesh, Received
from mesh.broker.protocol import Stored
from mesh.errors import Conflict, DeclarationError, InvalidField, Unavailable
from mesh.group_commit import GroupCommitter
from mesh.publish import Cause, Change, Plan, plan
from mesh.timers import Cancel, Timer
from services.gateway.judged import Valid
from services.gateway.refusals import Refusal, refusal_of_valid
from services.gateway.stored_before import LATE, PAUSE, Earlier

Outcome = Literal["stored", "duplicate"] | InvalidField
ID_USED = "this id was used before for an event with another body; a new event needs a new id"
TRIES = 8


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are stored.

    `store_patience` is how long a request waits for JetStream before it is answered 503; `events_at_once` bounds what
    waits in this process before 503.
    """

    store_patience: timedelta = timedelta(seconds=10)
    events_at_once: int = 20_000


class Store:
    """Stores the events of requests; `store` returns once JetStream has acknowledged them.

    Commits of all requests are grouped into atomic batches. None waits for company: while a batch is on its way the
    next one gathers, which measured 1.4 to 2.4 times as many carts per second, and a wait of 2 or 5 ms brought no more.
    """

    def __init__(self, mesh: Mesh, settings: StoreSettings) -> None:
        self._mesh, self._settings = mesh, settings
        self._group = GroupCommitter(mesh.broker, patience=settings.store_patience)
        self._waiting = 0

    async def store(
        self, events: list[Valid], traceparent: str | None = None, refusals: Sequence[Refusal] = ()
    ) -> dict[int, Outcome]:
        """What became of each event of a request, by its index.

        Events that are ordered by the same value keep their order; all others are stored side by side. Then what
        follows from the `refusals`, and from events that are refused now, is stored.
        Raises Unavailable when some could not be stored: the same request again is then safe.
        """
        if self._waiting + len(events) > self._settings.events_at_once:
            raise Unavailable("too many events are waiting to be stored")
        request = _Request(Earlier(self._mesh), traceparent, {})
        queues, free = _in_order(events)
        self._waiting += len(events)
        try:
            async with asyncio.timeout(self._settings.store_patience.total_seconds()):
                in_order = (self._store_in_order(queue, request) for queue in queues)
                await _all((self._store_side_by_side(free, request), *in_order))
                refused = [*refusals, *_refused_now(events, request.outcomes)]
                await _all(self._store_refusal(one, traceparent) for one in refused)
        except TimeoutError:
            raise Unavailable("JetStream did not acknowledge in time") from None
        finally:
            self._waiting -= len(events)
        return request.outcomes

    async def _store_in_order(self, queue: list[Valid], request: "_Request", planned: Plan | None = None) -> None:
        """Store events one after the other; `planned` is what was planned for the first."""
        for one in queue:
            try:
                request.outcomes[one.index] = await self._store_one(one, request, planned)
                planned = None
            except InvalidField as refused:
                request.outcomes[one.index] = refused

    async def _outcome(self, one: Valid, stored: Stored, request: "_Request") -> Outcome:
        return repeated(one, await request.earlier.duplicate(one, stored)) if stored.duplicate else "stored"

    async def _store_one(self, one: Valid, request: "_Request", planned: Plan | None = None) -> Outcome:
        """Decide, plan, commit; and decide again where something happened meanwhile."""
        if one.again and (earlier := await request.earlier.late(one)):
            return repeated(one, earlier)
        for attempt in range(1, TRIES + 1):
            made = planned if planned and attempt == 1 else await self._plan(one, attempt, request.traceparent)
            if made is None:
                return "duplicate"
            try:
                stored = (await self._group.commit(made))[0]
            except Conflict:
                await asyncio.sleep(PAUSE)
                continue
            return await self._outcome(one, stored, request)
        raise Unavailable(f"what {one.hosted.owner.acceptance.type} {one.id} is about changes too fast")

    async def _store_refusal(self, one: Refusal, traceparent: str | None) -> None:
        """Commit what a refused event establishes; decide again where something happened meanwhile."""
        owner = one.hosted.owner
        cause = Cause(id=one.refused.id, source=owner.acceptance.source, traceparent=traceparent, event=one.refused.id)
        for attempt in range(1, TRIES + 1):
            changes = await owner.decide_refused(msgspec.structs.replace(one.refused, attempt=attempt))
            if not changes:
                return
            try:
                await self._group.commit(await self._planned(changes, cause))
            except Conflict:
                await asyncio.sleep(PAUSE)
            else:
                return
        raise Unavailable(f"what the refused {owner.acceptance.type} {one.refused.id} is about changes too fast")

    async def _store_side_by_side(self, events: list[Valid], request: "_Request") -> None:
        """Events without an order are many and independent: all of a request are on their way at once."""
        made, fresh, others = self._empty(), list[Valid](), list[tuple[Valid, Plan | None]]()
        for one in events:
            looked_up = one.again and one.sent.age > LATE
            part = None if looked_up else await self._plan(one, 1, request.traceparent)
            if part is None or part.batch or len(part.singles) != 1:
                others.append((one, part))
            else:
                _add(made, part)
                fresh.append(one)
        await _all(self._store_in_order([one], request, part) for one, part in others)
        for one, stored in zip(fresh, await self._group.commit(made), strict=True):
            request.outcomes[one.index] = await self._outcome(one, stored, request)

    async def _plan(self, one: Valid, attempt: int, traceparent: str | None) -> Plan | None:
        """The one commit of all that follows from an event; None when all of it is true already."""
        sent = one.sent if attempt == one.sent.attempt else msgspec.structs.replace(one.sent, attempt=attempt)
        made: Plan | None = None
        for handler in one.hosted.handlers:
            changes = await handler.decide(sent)
            if sent.history:  # whatever a service says: nothing of the past begins anything
                changes = [one for one in changes if not isinstance(one, Timer | Cancel)]
            if not changes and handler is one.hosted.owner:
                return None
            source = handler.acceptance.source
            cause = Cause(id=sent.id, source=source, traceparent=traceparent, event=sent.id)
            part = await self._planned(changes, cause)
            if made is None:
                made = part
            else:
                _add(made, part)
        return made

    async def _planned(self, changes: list[Change], cause: Cause) -> Plan:
        changes = await self._mesh.encrypted(changes)
        return plan(changes, region=self._mesh.region, cause=cause, layout=self._mesh.layout)

    def _empty(self) -> Plan:
        return Plan(self._mesh.commerce)


def repeated(one: Valid, earlier: Received | None) -> Outcome:
    """Whether an event is the one that was stored before under its id."""
    if earlier is not None and earlier.event == one.sent.event:
        same = one.estimated or earlier.time == one.sent.time
        return "duplicate" if same else OtherTime("$.id", ID_USED)
    return InvalidField("$.id", ID_USED)


class OtherTime(InvalidField):
    """An event that was stored before with another time. It says nothing new, so nothing follows from it."""


@dataclass(frozen=True)
class _Request:
    earlier: Earlier
    traceparent: str | None
    outcomes: dict[int, Outcome]


def _in_order(events: list[Valid]) -> tuple[list[list[Valid]], list[Valid]]:
    """Queues of events that must be stored one after the other, and those without an order."""
    queues: dict[tuple[str, str], list[Valid]] = {}
    free = []
    for one in events:
        order = one.hosted.owner.acceptance.order_of(one.sent.event)
        if order is None:
            free.append(one)
        else:
            queues.setdefault(order, []).append(one)
    return list(queues.values()), free


def _refused_now(events: list[Valid], outcomes: Mapping[int, Outcome]) -> list[Refusal]:
    """The events that were refused for what is stored already, where their service wants to know."""
    found = []
    for one in events:
        outcome = outcomes.get(one.index)
        if one.sent.history or isinstance(outcome, OtherTime):
            continue
        if isinstance(outcome, InvalidField) and (made := refusal_of_valid(one.hosted, one.sent, outcome)):
            found.append(made)
    return found


def _add(made: Plan, part: Plan) -> None:
    if part.batch and made.batch and part.stream != made.stream:
        raise DeclarationError(
            f"what follows from one event is one commit, but {made.batch[0].subject} is in {made.stream} and "
            f"{part.batch[0].subject} in {part.stream}"
        )
    made.stream = part.stream if part.batch else made.stream
    made.batch += part.batch
    made.singles += part.singles
    made.events.update(part.events)


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Finish everything, then raise the first error: what could be stored is stored."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
