"""Shoppers: which carts a shopper has, on which devices, and what they last bought. A projection."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from mesh import Bucket, Mesh

MOST_CARTS = 50


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

    async def add_cart(self, cart_id: str, visitor_id: str, customer_id: str | None, *, fresh: bool = False) -> Shopper:
        """A cart belongs to its visitor, and to the customer who said so. Returns what is known of the visitor.

        With `fresh` the shopper is taken for new until told otherwise, which saves a read where that is so.
        """
        if customer_id:
            await self._change(_customer(customer_id), lambda known: _with_cart(known, cart_id), fresh=fresh)
        return await self._change(_visitor(visitor_id), lambda known: _with_cart(known, cart_id), fresh=fresh)

    async def identify(self, visitor_id: str, customer_id: str) -> None:
        """A visitor is a customer."""
        await self._change(_visitor(visitor_id), lambda known: _replace(known, customer_id=customer_id))
        await self._change(_customer(customer_id), lambda known: _with_visitor(known, visitor_id))

    async def buy(self, visitor_id: str, customer_id: str | None, bought: Purchase) -> list[str]:
        """A shopper bought, here or elsewhere. Returns their carts, on all of their devices.

        The purchase is written before the carts are read, and `leave` does it the other way round:
        whichever comes second sees the other, so no cart is left behind a purchase unnoticed.
        """
        known = await self._change(_visitor(visitor_id), lambda known: _with_purchase(known, bought))
        carts = set(known.carts)
        if customer := customer_id or known.customer_id:
            known = await self._change(_customer(customer), lambda known: _with_purchase(known, bought))
            carts.update(known.carts)
            others = [_visitor(one) for one in known.visitors if one != visitor_id]
            for other in await asyncio.gather(*map(self._get, others)):
                carts.update(other.carts)
        return sorted(carts)

    async def leave(self, cart_id: str, visitor_id: str, customer_id: str | None) -> tuple[str | None, Purchase | None]:
        """A cart is left: who its customer is, and what the shopper last bought on any device in any region."""
        known = await self.add_cart(cart_id, visitor_id, customer_id)
        customer = customer_id or known.customer_id
        records = [known, await self._get(_customer(customer))] if customer else [known]
        bought = max((one.bought for one in records if one.bought), key=lambda bought: bought.at, default=None)
        return customer, bought

    async def customer_of(self, visitor_id: str) -> str | None:
        """The customer that a visitor once said to be."""
        return (await self._get(_visitor(visitor_id))).customer_id

    async def carts_of(self, visitor_id: str) -> tuple[str, ...]:
        """The carts of one device, newest last."""
        return (await self._get(_visitor(visitor_id))).carts

    async def _get(self, owner: str) -> Shopper:
        return await self._state.get(owner) or Shopper()

    async def _change(self, owner: str, change: Callable[[Shopper], Shopper], *, fresh: bool = False) -> Shopper:
        """Write what `change` makes of what is known, and return it. A fresh owner is not read first."""
        known = (None, 0 if fresh else -1)
        return (await self._state.update(owner, lambda one: change(one or Shopper()), known=known)).after


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
