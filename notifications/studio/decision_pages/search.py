"""Search: the carts that an id leads to: of a cart, an offer, an order, a visitor or a customer."""

from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from mesh import Mesh
from mesh.errors import DeclarationError, InvalidKey
from mesh.events.offer import OfferTriggered
from mesh.profiles import Profile, customer_digest, read_profile
from mesh.subjects import token
from notifications.cart_timeline import read_timeline
from notifications.journeys import Journey, parse
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.journeys.triggers import has_cart
from notifications.studio.decision_pages.figures import read_offer
from notifications.triggers.found import subject_of

MOST = 100
LONGEST = 128


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A cart that was found, and by what."""

    cart_id: str
    by: str


async def find_carts(mesh: Mesh, text: str) -> list[Hit]:
    """The carts that an id leads to, each once, at most `MOST`. Raises Unavailable.

    An e-mail address leads to none: this service may not read personal data.
    """
    try:
        name = token(text)
    except InvalidKey:
        return [Hit(cart_id=cart, by="customer") for cart in await _of_customer(mesh, text)] if _is_plain(text) else []
    found: dict[str, Hit] = {}
    async for hit in _found(mesh, name):
        found.setdefault(hit.cart_id, hit)
    return list(found.values())[:MOST]


async def _found(mesh: Mesh, name: str) -> AsyncIterator[Hit]:
    if await read_timeline(mesh, name):
        yield Hit(cart_id=name, by="cart")
    record = await read_offer(mesh, name)
    if record and record.cart_id:
        yield Hit(cart_id=record.cart_id, by="offer")
    orders = [await mesh.history(name, "order"), *[await mesh.history_elsewhere(r, name, "order") for r in mesh.others]]
    for history in orders:
        for one in history:
            if cart := getattr(one.event, "cart_id", None):
                yield Hit(cart_id=cart, by="order")
    for cart in await _of_person(mesh, await read_profile(mesh, name)):
        yield Hit(cart_id=cart, by="visitor")
    for cart in await _of_customer(mesh, name):
        yield Hit(cart_id=cart, by="customer")


async def _of_customer(mesh: Mesh, customer_id: str) -> tuple[str, ...]:
    return await _of_person(mesh, await read_profile(mesh, names=(customer_digest(customer_id),)))


async def _of_person(mesh: Mesh, person: Profile) -> tuple[str, ...]:
    """A person's carts, and what journeys found them for without a cart."""
    journeys = [one async for one in _journeys(mesh)]
    keys = [
        subject_of(one.trigger, one.name, visitor)
        for one in journeys
        if not has_cart(one.trigger)
        for visitor in person.visitors
    ]
    found = await mesh.last_of_each(OfferTriggered, keys) if keys else {}
    return (*person.carts, *sorted(found))


async def _journeys(mesh: Mesh) -> AsyncIterator[Journey]:
    async for name, document in mesh.state(JOURNEYS.bucket).items():
        with suppress(DeclarationError):
            yield parse(name, document.files[FILE], {})


def _is_plain(text: str) -> bool:
    """Whether it may be a customer's id, which is whatever the shop calls them; an address is none."""
    return 0 < len(text) <= LONGEST and text.isprintable() and "@" not in text
