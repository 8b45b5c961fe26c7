"""Shopper regions: where else a shopper was active, so that an offer can wait for those regions' newest events."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from mesh import Bucket, Mesh
from mesh.envelope import Received
from mesh.events.cart import CartUpdated
from mesh.events.order import OrderPlaced, shoppers


class ShopperRegions(msgspec.Struct, frozen=True, kw_only=True):
    """One shopper: other regions with the last time they were seen there."""

    regions: dict[str, datetime] = {}

    def merged(self, other: "ShopperRegions") -> "ShopperRegions":
        """The newer of everything: the order in which two are merged does not matter."""
        names = self.regions | other.regions
        return ShopperRegions(
            regions={name: max(one.regions[name] for one in (self, other) if name in one.regions) for name in names}
        )


SHOPPERS = Bucket("offer-shoppers", ShopperRegions, ttl=timedelta(days=30), rebuilt=True)
WRITE_AGAIN_AFTER = timedelta(hours=1)
"""A shopper seen again in a region within this time is not written again."""


class RecentWrites:
    """What this process has just written, so that a busy shopper costs one write an hour and not one a click."""

    def __init__(self, most: int = 50_000) -> None:
        self._seen: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._most = most

    def is_due(self, key: str, region: str, at: datetime) -> bool:
        """Whether a sighting is worth writing. One that is not later than the last is: the bucket may be rebuilt."""
        last = self._seen.get((key, region))
        return last is None or not last < at < last + WRITE_AGAIN_AFTER

    def note(self, key: str, region: str, at: datetime) -> None:
        """A sighting was written."""
        self._seen[key, region] = at
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)


def fold(
    happened: Iterable[Received[OrderPlaced | CartUpdated]], *, home: str, recent: RecentWrites
) -> dict[str, ShopperRegions]:
    """What these events add, by key. Those of the own region add nothing: their truth is read where they are."""
    found: dict[str, ShopperRegions] = {}
    for received in happened:
        event, at, region = received.event, received.time, received.region
        if region == home:
            continue
        for key in shoppers(event.visitor_id, event.customer_id):
            if recent.is_due(key, region, at):
                found[key] = found.get(key, ShopperRegions()).merged(ShopperRegions(regions={region: at}))
    return found


async def remember(found: dict[str, ShopperRegions], mesh: Mesh, recent: RecentWrites) -> None:
    """Merge what was found into the bucket. Raises Unavailable."""
    state = mesh.state(SHOPPERS)

    async def merge(key: str, shopper: ShopperRegions) -> None:
        await state.update(key, lambda one: (one or ShopperRegions()).merged(shopper))
        for region, at in shopper.regions.items():
            recent.note(key, region, at)

    await asyncio.gather(*(merge(key, shopper) for key, shopper in found.items()))


async def known(visitor_id: str, customer_id: str | None, mesh: Mesh) -> ShopperRegions:
    """All that is known of a shopper, on this device and as a customer."""
    state, shopper = mesh.state(SHOPPERS), ShopperRegions()
    for one in await asyncio.gather(*(state.get(key) for key in shoppers(visitor_id, customer_id))):
        shopper = shopper.merged(one or ShopperRegions())
    return shopper
