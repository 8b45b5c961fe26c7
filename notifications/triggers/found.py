"""Found: what a check found, as changes to store, and the questions that all kinds of checks ask of a shopper."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from mesh import History, Mesh, Received, Unchanged
from mesh.envelope import derive_id
from mesh.errors import InvalidEvent, InvalidKey, MeshError
from mesh.event import Event, declaration_of
from mesh.events.cart import CartLine
from mesh.events.offer import OfferTriggered
from mesh.events.order import PurchaseMarked
from mesh.events.product import ProductListed
from mesh.events.user import Recommendation, Recommendations, RecommendationsRequest
from mesh.money import Money
from mesh.observability.logs import log
from mesh.profiles import Profile, names_of, purchases_of, read_profile
from mesh.publish import Change, Draft
from mesh.subjects import every
from notifications.catalogue_prices import price_in
from notifications.shopper_profile import shopper_of

SHOWN = 4
"""How many products are recommended at most; a mail shows fewer where some cannot be bought any more."""
PATIENCE = timedelta(seconds=2)
"""How long recommendations are waited for; a mail without any is better than none."""
AT_ONCE = 16
"""How many shoppers are looked at side by side."""
TURN = 100
"""So many events are read before others who wait for this process have their turn: some milliseconds."""
T = TypeVar("T")
F = TypeVar("F")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The start of a run, and the condition that no other check has started one for the same subject meanwhile."""

    event: OfferTriggered
    condition: Unchanged

    def changes(self, region: str) -> list[Change]:
        """What is stored of it. Its id names the occasion: the same one has the same id, whoever finds it."""
        event = self.event
        prices = sorted((line.product_id, line.price.amount) for line in event.lines)
        occasion = (event.left_at.isoformat(), event.order_id, event.abandonment_id, *event.products, *prices)
        id_ = derive_id(region, "triggered", event.journey, event.cart_id, *occasion)
        return [Draft(event=event, id=id_), self.condition]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of the log came to: what was found in it, and the last sequence that was read."""

    found: tuple[Found, ...]
    upto: int
    read: int


def subject_of(trigger: str, journey: str, visitor_id: str) -> str:
    """The key of a run that is about no cart. It is a digest, so that no cart of a shop has it by accident."""
    return f"{trigger.partition(' ')[0]}-{derive_id(trigger, journey, visitor_id)}"


async def read_log(
    mesh: Mesh, *kinds: type[Event], after: int = 0, since: datetime | None = None
) -> AsyncIterator[Received]:
    """The region's own events of these kinds of one stream, in order, from behind a sequence or since a time.

    Where both are given it begins at the sequence, once that is known. Raises Unavailable.
    """
    filters = [every(declaration_of(kind), region=mesh.region) for kind in kinds]
    stream, start = mesh.stream_of(kinds[0]), since if not after else None
    number = 0
    async for message in mesh.broker.read(stream, filters, after=after, since=start):
        try:
            yield await mesh.received(message)
        except InvalidEvent:
            continue  # its own handlers make it a dead letter
        number += 1
        if number % TURN == 0:
            await asyncio.sleep(0)


async def side_by_side(of: Callable[[F], Awaitable[T | None]], given: Iterable[F]) -> list[T]:
    """What becomes of each, without those that come to nothing, some of them at a time.

    One that names something by an id that cannot be looked up is left out: it would be in the way of all others.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(value: F) -> T | None:
        async with turns:
            try:
                return await of(value)
            except InvalidKey as error:
                log.warning("a shopper was left out by a trigger", error=str(error))
                return None

    made = await asyncio.gather(*map(one, given))
    return [value for value in made if value is not None]


async def reachable(visitor_id: str, customer_id: str | None, mesh: Mesh) -> Profile | None:
    """The shopper, if they are no bot and an address or a customer's account is known of them; else None.

    Of most visitors nothing is known, and one read says so.
    """
    person = await read_profile(mesh, visitor_id, names_of(customer_id))
    if person.bot or not person.names:
        return None
    profile, whole = await shopper_of(visitor_id, mesh, names_of(customer_id))
    return whole if profile.email or profile.customer_id or customer_id else None


async def bought_by(person: Profile, mesh: Mesh) -> list[Received[PurchaseMarked]]:
    """The newest orders under each of a shopper's names, in every region."""
    return [one for one in (await purchases_of(mesh, person.digests)).values() if one]


async def triggered_before(key: str, journey: str, mesh: Mesh) -> tuple[OfferTriggered | None, Unchanged]:
    """What was found for a subject and journey before, and the condition that nothing was since."""
    history = await mesh.history(key, OfferTriggered)
    return newest_of(history, journey), condition_of(history)


async def recommended_to(visitor_id: str, mesh: Mesh, *, besides: Collection[str] = ()) -> tuple[Recommendation, ...]:
    """What the shop would show somebody now, without some products; none where scoring does not answer."""
    try:
        request = RecommendationsRequest(visitor_id=visitor_id, most=SHOWN + len(besides))
        answer = await mesh.ask("scoring", "recommend-products", request, Recommendations, within=PATIENCE)
    except MeshError as error:
        log.warning("nothing can be recommended in a mail that a trigger starts", error=str(error))
        return ()
    return tuple(one for one in answer.products if one.product_id not in besides)[:SHOWN]


def newest_of(history: History, journey: str) -> OfferTriggered | None:
    """What was found last for a journey."""
    own = [one.event for one in history.of(OfferTriggered) if one.event.journey == journey]
    return own[-1] if own else None


def condition_of(history: History) -> Unchanged:
    """The condition that nothing was found for a subject since."""
    return history.unchanged(OfferTriggered)[0]


def as_listed(line: CartLine, listed: ProductListed | None) -> CartLine:
    """A line at the price that the catalogue has now."""
    price = price_in(listed, line.price.currency) if listed else None
    return msgspec.structs.replace(line, price=price) if price else line


def total_of(lines: Sequence[CartLine]) -> Money:
    """What lines of one currency cost."""
    return Money.sum(line.price * line.quantity for line in lines) or Money(amount=0, currency="EUR")
