"""Shoppers: in which other regions a shopper was seen, so that an offer can wait until those were heard."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from mesh import Bucket, Mesh
from mesh.envelope import Received
from mesh.errors import Conflict
from mesh.events.cart import CartUpdated
from mesh.events.order import OrderPlaced, shoppers


class Shopper(msgspec.Struct, frozen=True, kw_only=True):
    """One shopper: other regions with the last time they were seen there."""

    regions: dict[str, datetime] = {}

    def merged(self, other: "Shopper") -> "Shopper":
        """The newer of everything: the order in which two are merged does not matter."""
        names = self.regions | other.regions
        return Shopper(
            regions={name: max(one.regions[name] for one in (self, other) if name in one.regions) for name in names}
        )


SHOPPERS = Bucket("offer-shoppers", Shopper, ttl=timedelta(days=30), rebuilt=True)
NEWS_AFTER = timedelta(hours=1)
"""A shopper seen again in a region within this time is no news worth a write."""


class Recent:
    """What this process has just written, so that a busy shopper costs one write an hour and not one a click."""

    def __init__(self, most: int = 50_000) -> None:
        self._seen: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._most = most

    def is_news(self, key: str, region: str, at: datetime) -> bool:
        """Whether a sighting is worth writing. One that is not later than the last is: the bucket may be rebuilt."""
        last = self._seen.get((key, region))
        return last is None or not last < at < last + NEWS_AFTER

    def note(self, key: str, region: str, at: datetime) -> None:
        """A sighting was written."""
        self._seen[key, region] = at
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)


def fold(happened: Iterable[Received[OrderPlaced | CartUpdated]], *, home: str, recent: Recent) -> dict[str, Shopper]:
    """What these events add, by key. Those of the own region add nothing: their truth is read where they are."""
    found: dict[str, Shopper] = {}
    for received in happened:
        told, at, region = received.event, received.time, received.region
        if region == home:
            continue
        for key in shoppers(told.visitor_id, told.customer_id):
            if recent.is_news(key, region, at):
                found[key] = found.get(key, Shopper()).merged(Shopper(regions={region: at}))
    return found


async def remember(found: dict[str, Shopper], mesh: Mesh, recent: Recent) -> None:
    """Merge what was found into the bucket. Raises Conflict when a key stays contended, Unavailable."""
    state = mesh.state(SHOPPERS)

    async def merge(key: str, shopper: Shopper) -> None:
        for _ in range(10):
            known, revision = await state.entry(key)
            merged = (known or Shopper()).merged(shopper)
            if merged != known:
                try:
                    await state.put(key, merged, revision=revision)
                except Conflict:
                    continue
            for region, at in shopper.regions.items():
                recent.note(key, region, at)
            return
        raise Conflict(f"shopper {key} was written by others ten times in a row")

    await asyncio.gather(*(merge(key, shopper) for key, shopper in found.items()))


async def known(visitor_id: str, customer_id: str | None, mesh: Mesh) -> Shopper:
    """All that is known of a shopper, on this device and as a customer."""
    state, shopper = mesh.state(SHOPPERS), Shopper()
    for one in await asyncio.gather(*(state.get(key) for key in shoppers(visitor_id, customer_id))):
        shopper = shopper.merged(one or Shopper())
    return shopper
