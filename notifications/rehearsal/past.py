"""Past: the carts that were left in the last days, what was known of each, and what was really decided and bought."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from mesh import Mesh, Received
from mesh.broker.protocol import Message
from mesh.errors import InvalidEvent
from mesh.event import Declaration, Event, declaration_of
from mesh.events.cart import CartAbandoned, CartConverted
from mesh.events.offer import CART_ABANDONED, OfferDecided, OfferTriggered
from mesh.events.order import OrderPlaced
from mesh.lake.settings import LakeSettings
from mesh.operations.events import stored_since
from mesh.settings import read
from mesh.streams import mesh_stream
from mesh.subjects import every
from notifications.decision_input import DecisionInput
from notifications.occasion import Started

KINDS = (OfferDecided, OrderPlaced, CartConverted)
"""What is read besides what began the runs."""
SEAM = timedelta(seconds=1)
"""The stream is read from so long before the lake's end, whose moment may be cut to milliseconds."""
MOST = 100_000
"""Of more carts the newest are rehearsed."""


class PastCart(msgspec.Struct, frozen=True, kw_only=True):
    """A cart that was left: what was known when it was decided first (`at`), and the newest decision of each offer."""

    abandoned: Started
    inputs: DecisionInput
    at: datetime
    decided: tuple[OfferDecided, ...]


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Some days of the log up to `until`. `unknown` carts were decided by a version that did not record what it knew.

    `bought` are moments by visitor and by cart, `left` those at which a cart was left; each in order.
    """

    carts: tuple[PastCart, ...]
    until: datetime
    unknown: int
    left_out: int
    bought: dict[str, list[datetime]]
    left: dict[str, list[datetime]]

    def state_of(self, cart: PastCart, at: datetime) -> tuple[str, str]:
        """Where the cart stood at a later moment, as `DecisionInput.cart` and its detail."""
        begun = cart.abandoned.time
        for key in (f"cart/{cart.abandoned.event.cart_id}", f"visitor/{cart.abandoned.event.visitor_id}"):
            moments = self.bought.get(key, [])
            if bisect_right(moments, at) > bisect_right(moments, begun):
                return "bought", "bought meanwhile"
        moments = self.left[cart.abandoned.event.cart_id]
        if bisect_right(moments, at) > bisect_right(moments, begun):
            return "moved on", "left again later"
        return "left", "unchanged since it was left"


async def read_past(
    mesh: Mesh, since: datetime, until: datetime, *, most: int = MOST, trigger: str = CART_ABANDONED
) -> Past:
    """The whole mesh's log since a moment, as far as it has arrived here: lake and streams. Raises Unavailable.

    With another `trigger` than left carts it is what journeys with this trigger found in that time.
    """
    abandoned: dict[str, Started] = {}
    first: dict[str, Received[OfferDecided]] = {}
    decided: dict[str, dict[str, OfferDecided]] = defaultdict(dict)
    bought, left = defaultdict[str, list[datetime]](list), defaultdict[str, list[datetime]](list)
    async for received in _events(mesh, since, CartAbandoned if trigger == CART_ABANDONED else OfferTriggered):
        match received.event:
            case OfferTriggered(trigger=other) if other != trigger:
                continue
            case CartAbandoned(cart_id=cart) | OfferTriggered(cart_id=cart):
                abandoned[received.id] = received
                left[cart].append(received.time)
            case OfferDecided(abandonment_id=abandonment, offer_id=offer, inputs=inputs) as event:
                if inputs is not None:
                    first[abandonment] = received
                known = decided[abandonment].get(offer)
                if known is None or known.attempt <= event.attempt:
                    decided[abandonment][offer] = event
            case OrderPlaced(visitor_id=visitor):
                bought[f"visitor/{visitor}"].append(received.time)
            case CartConverted(cart_id=cart):
                bought[f"cart/{cart}"].append(received.time)
    for moments in (*bought.values(), *left.values()):
        moments.sort()
    found = [
        PastCart(
            abandoned=one,
            inputs=msgspec.convert(known.event.inputs, DecisionInput),
            at=known.time,
            decided=tuple(decided[id_].values()),
        )
        for id_, one in abandoned.items()
        if (known := first.get(id_)) is not None
    ]
    found.sort(key=lambda one: (one.at, one.abandoned.id))
    unknown = sum(id_ in decided and id_ not in first for id_ in abandoned)
    return Past(
        carts=tuple(found[-most:]),
        until=until,
        unknown=unknown,
        left_out=max(len(found) - most, 0),
        bought=dict(bought),
        left=dict(left),
    )


async def _events(mesh: Mesh, since: datetime, begun: type[Event]) -> AsyncIterator[Received]:
    """Everything that is needed, from this region and from the copies of the others."""
    places: dict[str, list[Declaration]] = defaultdict(list)
    for declaration in map(declaration_of, (begun, *KINDS)):
        places[mesh.layout.stream_of(declaration, mesh.region)].append(declaration)
    for stream, declarations in places.items():
        async for received in _read(mesh, _own(mesh, stream, declarations, since)):
            yield received
    if mesh.others:
        everywhere = [every(declaration, region="*") for some in places.values() for declaration in some]
        async for received in _read(mesh, stored_since(mesh, mesh_stream(mesh.region), tuple(everywhere), since)):
            yield received


async def _own(mesh: Mesh, stream: str, declarations: Sequence[Declaration], since: datetime) -> AsyncIterator[Message]:
    """What the region's lake has of a stream, where there is one, and what the stream has behind it."""
    place = 0
    if read(LakeSettings).lake:
        from mesh.lake.past import open_past  # noqa: PLC0415  brings polars, which is not needed without a lake

        if (past := await open_past(mesh, stream)) and await past.is_of(mesh):
            async for messages in past.messages(declarations, since=since):
                for message in messages:
                    yield message
            place, since = past.place, max(since, past.newest - SEAM)
    filters = tuple(every(declaration, region=mesh.region) for declaration in declarations)
    async for message in stored_since(mesh, stream, filters, since):
        if message.sequence > place:
            yield message


async def _read(mesh: Mesh, messages: AsyncIterator[Message]) -> AsyncIterator[Received]:
    async for message in messages:
        with suppress(InvalidEvent):
            yield await mesh.received(message)
