"""Storing: valid events become commits; each is stored, found to be stored already, or refused with a reason.

Cart and order writes are one commit with their timer (decisions of section "the abandoned cart").
An id is remembered by JetStream's duplicate window; events that come later than that are looked up.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from mesh import Cancel, Event, Mesh, Received, Timer, Unchanged
from mesh.broker.protocol import Stored
from mesh.commit import commit
from mesh.errors import Conflict, InvalidEvent, Unavailable
from mesh.event import Declaration, declaration_of, key_of
from mesh.events.cart import CartConverted, CartIdle, CartUpdated
from mesh.events.order import OrderPlaced, PurchaseMarked, shoppers
from mesh.mesh import received as as_received
from mesh.publish import Cause, Change, Draft, plan
from mesh.streams import INTERACTION_DOMAINS, stream_of
from mesh.subjects import subject
from services.gateway.intake import Arrival
from services.gateway.rules import Wrong

Kept = Literal["stored", "duplicate"]
TRIES = 8
PAUSE = 0.05
"""Seconds until a follower that answers reads has applied what was just stored."""
LATE = timedelta(seconds=60)
"""Older events may be retries from before the duplicate window (2 min), so they are looked up."""
GRACE = timedelta(seconds=5)
"""What an overdue cart is given, so that the order behind it in the same offline queue comes first."""


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are stored.

    `abandon_after` is how long a cart is left alone until it counts as abandoned.
    `store_patience` is how long a request waits for JetStream before it is answered 503.
    `commits_at_once` bounds atomic batches in flight (the server refuses more than 50 per stream
    from all writers); `events_at_once` bounds what waits in this process before 503.
    """

    abandon_after: timedelta = timedelta(minutes=30)
    store_patience: timedelta = timedelta(seconds=10)
    commits_at_once: int = 24
    events_at_once: int = 20_000


@dataclass
class Lookup:
    """What was stored before of the late events of one request, read once per subject."""

    mesh: Mesh
    found: dict[str, asyncio.Task[dict[str, Received]]] = field(default_factory=dict)

    async def stored(self, happened: Event, id_: str) -> Received | None:
        """The event of the same kind and key that has this id, or None."""
        return (await self._read(happened)).get(id_)

    async def all(self, happened: Event) -> list[Received]:
        """All events of the same kind and key."""
        return list((await self._read(happened)).values())

    async def _read(self, happened: Event) -> dict[str, Received]:
        declaration = declaration_of(type(happened))
        at = subject(self.mesh.region, declaration, key_of(happened))
        if at not in self.found:
            self.found[at] = asyncio.ensure_future(_all_of(self.mesh, stream_of(declaration, self.mesh.region), at))
        return await self.found[at]


class Store:
    """The gateway's writing hand. `keep` returns once an event is acknowledged by JetStream."""

    def __init__(self, mesh: Mesh, settings: StoreSettings) -> None:
        self._mesh, self._settings = mesh, settings
        self._commits = asyncio.Semaphore(settings.commits_at_once)
        self._waiting = 0

    async def keep_all(
        self, arrivals: list[Arrival], *, scope: str, received: datetime, traceparent: str | None = None
    ) -> dict[int, Kept | Wrong]:
        """What became of each event, by its index.

        Events of one cart, order or person keep their order; all others are stored side by side.
        Raises Unavailable when some could not be stored: the same request again is then safe.
        """
        if self._waiting + len(arrivals) > self._settings.events_at_once:
            raise Unavailable("too many events are waiting to be stored")
        self._waiting += len(arrivals)
        try:
            async with asyncio.timeout(self._settings.store_patience.total_seconds()):
                return await self._keep_all(arrivals, _Visit(Lookup(self._mesh), scope, received, traceparent))
        except TimeoutError:
            raise Unavailable("JetStream did not acknowledge in time") from None
        finally:
            self._waiting -= len(arrivals)

    async def _keep_all(self, arrivals: list[Arrival], visit: "_Visit") -> dict[int, Kept | Wrong]:
        chains: dict[object, list[Arrival]] = {}
        alone: list[Arrival] = []
        for arrival in arrivals:
            declaration = declaration_of(type(arrival.event))
            if declaration.domain in INTERACTION_DOMAINS:
                alone.append(arrival)
            else:
                chains.setdefault(_chain(arrival, declaration), []).append(arrival)
        kept: dict[int, Kept | Wrong] = {}
        follow = (self._keep_in_order(chain, kept, visit) for chain in chains.values())
        await _all((self._keep_side_by_side(alone, kept, visit), *follow))
        return kept

    async def _keep_in_order(self, chain: list[Arrival], kept: dict[int, Kept | Wrong], visit: "_Visit") -> None:
        for arrival in chain:
            try:
                kept[arrival.index] = await self._keep(arrival, visit)
            except Wrong as wrong:
                kept[arrival.index] = wrong

    async def _keep_side_by_side(self, alone: list[Arrival], kept: dict[int, Kept | Wrong], visit: "_Visit") -> None:
        """Interactions are many and independent: all of a request are on their way at once."""
        fresh = []
        for arrival in alone:
            known = await visit.known(arrival)
            if known is None:
                fresh.append(arrival)
            else:
                kept[arrival.index] = _verdict(arrival, known)
        changes = [_draft(arrival, visit.id_of(arrival)) for arrival in fresh]
        for arrival, stored in zip(fresh, await self._commit(changes, "", visit), strict=True):
            known = await self._stored_before(arrival, stored, visit) if stored.duplicate else None
            kept[arrival.index] = _verdict(arrival, known) if stored.duplicate else "stored"

    async def _keep(self, arrival: Arrival, visit: "_Visit") -> Kept:
        if known := await visit.known(arrival):
            return _same(arrival, known)
        id_ = visit.id_of(arrival)
        match arrival.event:
            case CartUpdated() as updated:
                return await self._keep_cart(updated, arrival, id_, visit)
            case OrderPlaced() as placed:
                return await self._keep_order(placed, arrival, id_, visit)
        (stored,) = await self._commit([_draft(arrival, id_)], id_, visit)
        return _same(arrival, await self._stored_before(arrival, stored, visit)) if stored.duplicate else "stored"

    async def _stored_before(self, arrival: Arrival, stored: Stored, visit: "_Visit") -> Received | None:
        """The event whose place a duplicate was answered with; None when it is none that can be read."""
        stream = stream_of(declaration_of(type(arrival.event)), self._mesh.region)
        message = await self._mesh.broker.get(stream, stored.sequence) if stored.sequence else None
        if message is None:
            return await self._recall(arrival.event, visit.id_of(arrival))
        try:
            return as_received(message)
        except InvalidEvent:
            return None

    async def _keep_cart(self, updated: CartUpdated, arrival: Arrival, id_: str, visit: "_Visit") -> Kept:
        """The update and its idle timer in one commit. An emptied cart cancels the timer.

        An update that is older than the newest one changes nothing about the timer.
        """
        idle = (
            Timer(CartIdle(cart_id=updated.cart_id, update_id=id_), self._idle_at(arrival.time, visit.received))
            if updated.lines
            else Cancel(CartIdle, updated.cart_id)
        )
        changes: list[Change] = [_draft(arrival, id_), idle]
        for _ in range(TRIES):
            if visit.is_late(arrival) or not updated.lines:
                known = await Lookup(self._mesh).all(updated)
                outdated = any(earlier.time > arrival.time for earlier in known)
                newest = max((earlier.sequence for earlier in known), default=0)
                unchanged = Unchanged(CartUpdated, updated.cart_id, newest)
                changes = [_draft(arrival, id_), unchanged, *([] if outdated else [idle])]
            try:
                (stored,) = await self._commit(changes, id_, visit)
            except Conflict:
                await asyncio.sleep(PAUSE)
                continue
            return _same(arrival, await self._recall(updated, id_)) if stored.duplicate else "stored"
        raise Unavailable(f"cart {updated.cart_id} changes too fast")

    async def _keep_order(self, placed: OrderPlaced, arrival: Arrival, id_: str, visit: "_Visit") -> Kept:
        """The order, its cart's and its timer's end in one commit. An order id is placed once for ever."""
        changes: list[Change] = [_draft(arrival, id_), Unchanged(OrderPlaced, placed.order_id, 0)]
        if placed.cart_id is not None:
            converted = CartConverted(cart_id=placed.cart_id, order_id=placed.order_id, visitor_id=placed.visitor_id)
            changes += [Draft(event=converted, time=arrival.time), Cancel(CartIdle, placed.cart_id)]
        for shopper in shoppers(placed.visitor_id, placed.customer_id):
            bought = PurchaseMarked(shopper=shopper, order_id=placed.order_id)
            changes.append(Draft(event=bought, time=arrival.time))
        try:
            (stored,) = await self._commit(changes, id_, visit)
        except Conflict:
            earlier = await self._mesh.last(OrderPlaced, placed.order_id)
            if earlier is None:
                raise Unavailable(f"order {placed.order_id} is being stored by another request") from None
            if earlier.id != id_:
                raise Wrong("$.order_id", "this order was placed before, by an event with another id") from None
            return _same(arrival, earlier)
        return _same(arrival, await self._recall(placed, id_)) if stored.duplicate else "stored"

    async def _commit(self, changes: list[Change], id_: str, visit: "_Visit") -> list[Stored]:
        made = plan(changes, region=self._mesh.region, cause=visit.cause(id_))
        patience = self._settings.store_patience
        if len(made.batch) > 1:
            async with self._commits:
                return await commit(self._mesh.broker, made, patience=patience)
        return await commit(self._mesh.broker, made, patience=patience)

    async def _recall(self, happened: Event, id_: str) -> Received | None:
        """The stored event with this id; None when the id belongs to an event of another kind or key."""
        newest = await self._mesh.last(type(happened), key_of(happened))
        if newest and newest.id == id_:
            return newest
        for turn in range(4):
            await asyncio.sleep(turn * PAUSE)
            if found := await Lookup(self._mesh).stored(happened, id_):
                return found
        return None

    def _idle_at(self, happened: datetime, received: datetime) -> datetime:
        """When a cart counts as left: by the server's clock, earlier by the time its update was under way."""
        after = self._settings.abandon_after
        age = max(received - happened, timedelta(0))
        return received + max(after - age, min(after, GRACE))


@dataclass(frozen=True)
class _Visit:
    """What the events of one request have in common."""

    lookup: Lookup
    scope: str
    received: datetime
    traceparent: str | None

    def id_of(self, arrival: Arrival) -> str:
        return f"{self.scope}-{arrival.id}"

    def is_late(self, arrival: Arrival) -> bool:
        return self.received - arrival.time > LATE

    async def known(self, arrival: Arrival) -> Received | None:
        """What a late event may be a retry of."""
        return await self.lookup.stored(arrival.event, self.id_of(arrival)) if self.is_late(arrival) else None

    def cause(self, id_: str) -> Cause:
        return Cause(id=id_, source="gateway", traceparent=self.traceparent, event=id_ or None)


def _chain(arrival: Arrival, declaration: Declaration) -> object:
    happened = arrival.event
    if isinstance(happened, OrderPlaced) and happened.cart_id is not None:
        return "cart", happened.cart_id
    return declaration.domain, key_of(happened)


def _draft(arrival: Arrival, id_: str) -> Draft:
    return Draft(event=arrival.event, id=id_, time=arrival.time)


def _same(arrival: Arrival, known: Received | None) -> Kept:
    verdict = _verdict(arrival, known)
    if isinstance(verdict, Wrong):
        raise verdict
    return verdict


def _verdict(arrival: Arrival, known: Received | None) -> Kept | Wrong:
    if known is None or known.event != arrival.event or known.time != arrival.time:
        return Wrong("$.id", "this id was used before for an event with another body; a new event needs a new id")
    return "duplicate"


async def _all_of(mesh: Mesh, stream: str, at: str) -> dict[str, Received]:
    found = {}
    async for message in mesh.broker.read(stream, [at]):
        try:
            known = as_received(message)
        except InvalidEvent:
            continue  # parked where it was consumed
        found[known.id] = known
    return found


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Finish everything, then raise the first error: what could be stored is stored."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
