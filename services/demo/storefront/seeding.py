"""Seeding: the shop sends what it sells to its region's gateway, its pieces to the stock, and where wanted a past.

Sent once per process, as any shop's server would: over HTTP, patiently, with ids that follow from the
content, so that sending it again changes nothing.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from mesh import Mesh, settings
from mesh.errors import MeshError
from mesh.events.mesh import ViewsSimulated
from mesh.observability.logs import log
from services.demo.storefront.catalogue import CURRENCIES, Product, money, products
from services.demo.storefront.opening_stock import receive_stock
from services.demo.storefront.simulated_past import confirmations, sessions

if TYPE_CHECKING:
    import httpx

LANGUAGE = {"eu": "de", "ap": "ja"}
"""The language, and with it the currency, in which a region's catalogue is sent; elsewhere English."""
BATCH = 200
LATER = frozenset({429, 502, 503, 504})
"""Answers that say: the same request may succeed later."""
KNOWN = ("$.id", "$.order_id")
"""Where the gateway points when an event was sent on an earlier day, with that day's times."""
SHORTEST, LONGEST = 0.1, 5.0
"""Seconds before a request is made again."""


class SeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The region's interfaces (empty: nothing is sent there), the shop's address, and the keys to send with.

    The first of `server_keys` sends the catalogue and stock, and orders; without one they are not sent. `write_key` is
    the pages' key.
    With `shop_past` simulated shoppers of the last days are sent too, so that there is something to recommend from.
    """

    url_gateway: str = ""
    url_orders: str = ""
    url_order_views: str = ""
    url_stock: str = ""
    url_storefront: str = "http://127.0.0.1:8080"
    shop_url: str = ""
    server_keys: tuple[str, ...] = ()
    write_key: str = "demo"
    shop_past: bool = False

    @property
    def shop(self) -> str:
        """Where shoppers find the shop, without a slash at the end."""
        return (self.shop_url or self.url_storefront).rstrip("/")


class Seeding:
    """What was sent so far: `outcome` counts events accepted, refused or known before, and products received."""

    def __init__(self) -> None:
        self.outcome: Counter[str] = Counter()
        self.done = asyncio.Event()


@asynccontextmanager
async def seed(mesh: Mesh) -> AsyncIterator[Seeding]:
    """Send in the background until everything is sent or the block ends."""
    state = Seeding()
    task = asyncio.create_task(_send_everything(mesh, settings.read(SeedSettings), state))
    try:
        yield state
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def listings(region: str, shop: str, at: datetime) -> Iterator[dict[str, Any]]:
    """The catalogue as events, in the region's language and currency; `shop` is the shop's address.

    An id is derived from the content and the day, and the time is that day's beginning: the same content sent
    again on that day is the same event.
    """
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    language = LANGUAGE.get(region, "en")
    for product in products():
        listed = _listing(product, language, shop)
        digest = blake2b(msgspec.json.encode([region, listed, day], order="sorted"), digest_size=12).hexdigest()
        yield {"id": f"listing-{digest}", "type": "product_listed", "time": day.isoformat(), **listed}


def _listing(product: Product, language: str, shop: str) -> dict[str, Any]:
    price = money(product, CURRENCIES[language])
    others = [money(product, one) for one in CURRENCIES.values() if one != price.currency]
    return {
        "product_id": product.product_id,
        "name": product.name[language],
        "category": product.category,
        "brand": product.brand,
        "group": product.group,
        "price": {"amount": price.amount, "currency": price.currency},
        "prices": [{"amount": one.amount, "currency": one.currency} for one in others],
        "image": f"{shop}/pictures/{product.product_id}.png",
        "url": f"{shop}/{language}/products/{product.product_id}",
    }


async def _send_everything(mesh: Mesh, chosen: SeedSettings, state: Seeding) -> None:
    import httpx  # noqa: PLC0415  every process imports the service, only this one speaks HTTP

    if not chosen.url_gateway:
        return
    now, region = datetime.now(UTC), mesh.region
    async with httpx.AsyncClient(base_url=chosen.url_gateway, timeout=20) as gateway:
        if chosen.server_keys:
            await _send(gateway, chosen.server_keys[0], list(listings(region, chosen.shop, now)), state)
        else:
            log.warning("the catalogue is not sent: no CARTMESH_SERVER_KEYS")
        if chosen.server_keys and chosen.url_stock:
            async with httpx.AsyncClient(base_url=chosen.url_stock, timeout=20) as stock:
                state.outcome["received"] = await receive_stock(stock, chosen.server_keys[0], products())
        if chosen.shop_past:
            for batch in _batches(sessions(region, now, CURRENCIES[LANGUAGE.get(region, "en")])):
                if await _send(gateway, chosen.write_key, batch, state):
                    await _report_views(mesh, sum(one["type"] == "product_viewed" for one in batch))
                if chosen.server_keys and (confirmed := confirmations(batch)):
                    await _send(gateway, chosen.server_keys[0], confirmed, state)
    state.done.set()
    log.info("seeded the gateway", **state.outcome)


async def _report_views(mesh: Mesh, views: int) -> None:
    """Tell the operators' pages which views nobody made. The shop opens whether that succeeds or not."""
    try:
        await mesh.publish(ViewsSimulated(region=mesh.region, views=views, at=datetime.now(UTC)))
    except MeshError as error:
        log.warning("not reported how many views are simulated", views=views, error=str(error))


async def _send(gateway: "httpx.AsyncClient", key: str, events: Sequence[dict[str, Any]], state: Seeding) -> bool:
    """Send these events until the gateway answers for good; whether it stored any that it did not have before."""
    wait = SHORTEST
    while (answer := await _post(gateway, key, events)) is None:
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  jitter, not a secret
        wait = min(2 * wait, LONGEST)
    if answer.status_code not in (202, 422):
        log.error("the gateway refuses what the shop sends", status=answer.status_code, why=answer.text[:300])
        state.outcome["refused"] += len(events)
        return False
    verdict = answer.json()
    known = [one for one in verdict["rejected"] if one["path"] in KNOWN]
    refused = [one for one in verdict["rejected"] if one["path"] not in KNOWN]
    state.outcome.update(accepted=verdict["accepted"], known=len(known), refused=len(refused))
    if refused:
        log.error("the gateway refuses events", many=len(refused), first=refused[0])
    return bool(verdict["accepted"] > verdict["duplicates"])


async def _post(gateway: "httpx.AsyncClient", key: str, events: Sequence[dict[str, Any]]) -> "httpx.Response | None":
    """The gateway's answer; None where it is to be asked again."""
    import httpx  # noqa: PLC0415  see above

    try:
        answer = await gateway.post(
            "/v1/events", json={"events": list(events)}, headers={"Authorization": f"Bearer {key}"}
        )
    except httpx.TransportError:
        return None
    return None if answer.status_code in LATER else answer


def _batches(whole: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Requests of whole sessions: a cart and its order are sent in one."""
    batch: list[dict[str, Any]] = []
    for session in whole:
        if batch and len(batch) + len(session) > BATCH:
            yield batch
            batch = []
        batch.extend(session)
    if batch:
        yield batch
