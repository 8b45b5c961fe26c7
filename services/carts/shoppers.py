"""Shoppers: which carts a shopper has, on which devices, and what they last bought. A projection."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from mesh import Bucket, Mesh
from mesh.errors import Conflict, Unavailable
from mesh.events.order import OrderPlaced

MOST_CARTS = 50
TRIES = 20


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """The newest order of a shopper, wherever it was placed."""

    order_id: str
    cart_id: str | None
    region: str
    at: datetime


class Shopper(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a visitor (one device) or of a customer (all of theirs); newest carts last."""

    carts: tuple[str, ...] = ()
    visitors: tuple[str, ...] = ()
    customer_id: str | None = None
    bought: Purchase | None = None


SHOPPERS: Bucket[Shopper] = Bucket("shoppers", Shopper, ttl=timedelta(days=60), rebuilt=True)


class Shoppers:
    """The projection, written with revisions so that no two writers undo each other."""

    def __init__(self, mesh: Mesh) -> None:
        self._state = mesh.state(SHOPPERS)

    async def add_cart(self, cart_id: str, visitor_id: str, customer_id: str | None) -> None:
        """A cart belongs to its visitor, and to the customer who said so."""
        for owner in _owners(visitor_id, customer_id):
            await self._change(owner, lambda known: _with_cart(known, cart_id))

    async def identify(self, visitor_id: str, customer_id: str) -> None:
        """A visitor is a customer."""
        await self._change(_visitor(visitor_id), lambda known: _replace(known, customer_id=customer_id))
        await self._change(_customer(customer_id), lambda known: _with_visitor(known, visitor_id))

    async def buy(self, placed: OrderPlaced, region: str, at: datetime) -> None:
        """A shopper bought, here or elsewhere."""
        bought = Purchase(order_id=placed.order_id, cart_id=placed.cart_id, region=region, at=at)
        for owner in _owners(placed.visitor_id, await self.customer_of(placed.visitor_id, placed.customer_id)):
            await self._change(owner, lambda known: _with_purchase(known, bought))

    async def customer_of(self, visitor_id: str, customer_id: str | None = None) -> str | None:
        """The customer that a visitor is: as told, else as they once identified."""
        return customer_id or (await self._get(_visitor(visitor_id))).customer_id

    async def carts_of(self, visitor_id: str, customer_id: str | None) -> list[str]:
        """All carts of a shopper, on all of their devices."""
        visitors = {visitor_id}
        carts: set[str] = set()
        if customer := await self.customer_of(visitor_id, customer_id):
            known = await self._get(_customer(customer))
            visitors.update(known.visitors)
            carts.update(known.carts)
        for known in await asyncio.gather(*(self._get(_visitor(one)) for one in sorted(visitors))):
            carts.update(known.carts)
        return sorted(carts)

    async def newest_purchase(self, visitor_id: str, customer_id: str | None) -> Purchase | None:
        """What a shopper last bought, on any device, in any region."""
        owners = _owners(visitor_id, await self.customer_of(visitor_id, customer_id))
        known = await asyncio.gather(*(self._get(owner) for owner in owners))
        return max((one.bought for one in known if one.bought), key=lambda bought: bought.at, default=None)

    async def _get(self, owner: str) -> Shopper:
        return await self._state.get(owner) or Shopper()

    async def _change(self, owner: str, change: Callable[[Shopper], Shopper]) -> None:
        for _ in range(TRIES):
            known, revision = await self._state.entry(owner)
            wanted = change(known or Shopper())
            if wanted == known:
                return
            try:
                await self._state.put(owner, wanted, revision=revision)
            except Conflict:
                continue
            return
        raise Unavailable(f"shopper {owner} changes too fast")


def _owners(visitor_id: str, customer_id: str | None) -> list[str]:
    return [_visitor(visitor_id), *([_customer(customer_id)] if customer_id else [])]


def _visitor(id_: str) -> str:
    return _key("v", id_)


def _customer(id_: str) -> str:
    return _key("c", id_)


def _key(kind: str, id_: str) -> str:
    """A bucket's key has at most 128 characters, and so has an id: long ones are hashed."""
    return f"{kind}-{id_ if len(id_) <= 100 else blake2b(id_.encode(), digest_size=32).hexdigest()}"


def _replace(known: Shopper, **changes: object) -> Shopper:
    return msgspec.structs.replace(known, **changes)


def _with_cart(known: Shopper, cart_id: str) -> Shopper:
    return known if cart_id in known.carts else _replace(known, carts=_newest(known.carts, cart_id))


def _with_visitor(known: Shopper, visitor_id: str) -> Shopper:
    return known if visitor_id in known.visitors else _replace(known, visitors=_newest(known.visitors, visitor_id))


def _with_purchase(known: Shopper, bought: Purchase) -> Shopper:
    return known if known.bought and known.bought.at >= bought.at else _replace(known, bought=bought)


def _newest(many: Iterable[str], one: str) -> tuple[str, ...]:
    return (*many, one)[-MOST_CARTS:]
