"""Views: who looked at products, put nothing into a cart and bought nothing, and has not come back for some time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from mesh import Mesh, Received
from mesh.events.cart import CartLine
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferTriggered
from mesh.events.product import ProductListed
from mesh.events.trigger import TriggerChecked
from notifications.cart_state import filled_since
from notifications.catalogue_prices import price_in
from notifications.journeys import Journey
from notifications.triggers.found import (
    Found,
    Part,
    bought_by,
    reachable,
    read_log,
    recommended_to,
    side_by_side,
    subject_of,
    total_of,
    triggered_before,
)

MOST_READ = 2_000
"""How many views are read before what was found is stored."""
MOST_SHOWN = 5
"""How many of the products that were looked at a mail shows."""


async def abandoned_views(journey: Journey, checked: TriggerChecked, now: datetime, mesh: Mesh) -> Part | None:
    """The next part of the log whose views are old enough, and whom it concerns; None where there is none."""
    newest: dict[str, Received[ProductViewed]] = {}
    upto = read = 0
    async for one in read_log(mesh, ProductViewed, after=checked.sequence, since=checked.since):
        if one.stored > now - journey.triggered_after or read == MOST_READ:
            break
        newest[one.event.visitor_id], upto, read = one, one.sequence, read + 1
    if not read:
        return None
    last = await mesh.last_of_each(ProductViewed, newest)
    gone = [one for visitor, one in newest.items() if visitor in last and last[visitor].sequence == one.sequence]
    return Part(found=tuple(await side_by_side(partial(_found, journey, mesh), gone)), upto=upto, read=read)


async def _found(journey: Journey, mesh: Mesh, last: Received[ProductViewed]) -> Found | None:
    visitor_id, customer_id = last.event.visitor_id, last.event.customer_id
    person = await reachable(visitor_id, customer_id, mesh)
    if person is None:
        return None
    views = (await mesh.history(visitor_id, ProductViewed)).of(ProductViewed)
    visit = visit_of(views, journey.triggered_after)
    since = visit[0].event_time
    if any(one.event_time >= since for one in await bought_by(person, mesh)) or await filled_since(person, since, mesh):
        return None
    lines = await _lines(visit, mesh)
    if not lines:
        return None
    key = subject_of(journey.trigger, journey.name, visitor_id)
    before, condition = await triggered_before(key, journey.name, mesh)
    left_at = visit[-1].event_time
    if before and before.left_at >= left_at:
        return None
    event = OfferTriggered(
        cart_id=key,
        visitor_id=visitor_id,
        journey=journey.name,
        trigger=journey.trigger,
        lines=lines,
        total=total_of(lines),
        left_at=left_at,
        due=left_at + journey.triggered_after,
        since=since,
        products=tuple(line.product_id for line in lines),
        recommended=await recommended_to(visitor_id, mesh, besides={one.event.product_id for one in visit}),
        session_id=last.event.session_id,
        customer_id=customer_id,
    )
    return Found(event=event, condition=condition)


def visit_of(views: Sequence[Received[ProductViewed]], pause: timedelta) -> list[Received[ProductViewed]]:
    """The newest views, oldest first, between which there was no such pause."""
    ordered = sorted(views, key=lambda one: one.event_time)
    visit = ordered[-1:]
    for one in reversed(ordered[:-1]):
        if visit[0].event_time - one.event_time >= pause:
            break
        visit.insert(0, one)
    return visit


async def _lines(visit: Sequence[Received[ProductViewed]], mesh: Mesh) -> tuple[CartLine, ...]:
    """The products that were looked at last, newest first, as the catalogue has them: those that can be bought.

    They are of one currency, that of the newest. A page may claim anything, so what is not listed is left out.
    """
    viewed = list(dict.fromkeys(one.event.product_id for one in reversed(visit)))[: MOST_SHOWN * 4]
    listed = await mesh.last_of_each(ProductListed, viewed)
    wanted = visit[-1].event.price
    currency = wanted.currency if wanted else ""
    lines: list[CartLine] = []
    for product in viewed:
        one = listed[product].event if product in listed else None
        if one is None or one.price is None or not one.available:
            continue
        price = price_in(one, currency) or (one.price if not lines else None)
        if price is None:
            continue
        currency = price.currency
        lines.append(
            CartLine(
                product_id=product,
                quantity=1,
                price=price,
                name=one.name,
                category=one.category,
                brand=one.brand,
                image=one.image,
                url=one.url,
            )
        )
    return tuple(lines[:MOST_SHOWN])
