"""What the demo shop sends the mesh by itself, its catalogue and a past, and what it receives about its visitors."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned, CartConverted, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import ViewsSimulated
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.events.product import ProductListed
from mesh.money import Money
from mesh.runtime.run import running
from ml.scoring.service import service as scoring
from services.carts import service as carts
from services.demo.storefront import service as storefront
from services.demo.storefront.catalogue import find, products
from services.demo.storefront.seeding import Seeding, listings, seed
from services.gateway import service as gateway

KEYS = {"CARTMESH_SERVER_KEYS": "the-shops-own-server-key", "CARTMESH_STORE_PATIENCE": "20s"}


@pytest.fixture
def region():
    return MemoryMesh("us")


@pytest.fixture
def operator(region):
    return Mesh(region.broker("us"), "tests")


@pytest.fixture
def open_gateway(region, monkeypatch):
    """The region's gateway over HTTP, which the shop was given."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    @asynccontextmanager
    async def opened():
        async with running(gateway, Mesh(region.broker("us"), "gateway"), http=("127.0.0.1", 0)) as run:
            monkeypatch.setenv("CARTMESH_URL_GATEWAY", address := f"http://127.0.0.1:{run.port}")
            yield address

    return opened


async def send(operator) -> Seeding:
    """Everything the shop has to send, sent by a process that has just started."""
    async with seed(operator) as state:
        await asyncio.wait_for(state.done.wait(), 60)
    return state


async def stored(operator, *kinds):
    return [received async for received in operator.read(*kinds)]


async def test_the_catalogue_is_sent_once(open_gateway, operator, monkeypatch):
    """Every product with its name, price and absolute addresses; a restart changes nothing."""
    monkeypatch.setenv("CARTMESH_URL_STOREFRONT", "https://tea.example")
    async with open_gateway():
        await send(operator)
        first = await stored(operator, ProductListed)
        again = await send(operator)

    assert await stored(operator, ProductListed) == first
    assert (again.outcome["accepted"], again.outcome["refused"]) == (len(products()), 0)
    assert {one.event.product_id for one in first} == {product.product_id for product in products()}
    assert next(one.event for one in first if one.event.product_id == "whisk") == ProductListed(
        product_id="whisk",
        name="Matcha whisk, 80 tines",
        category="tools",
        brand=find("whisk").brand,
        group="whisk",
        price=Money(amount=2850, currency="USD"),
        prices=(Money(amount=2400, currency="EUR"), Money(amount=3400, currency="JPY")),
        image="https://tea.example/pictures/whisk.png",
        url="https://tea.example/en/products/whisk",
    )


def test_a_regions_catalogue_is_in_its_language_and_currency():
    """German and euros in eu, Japanese and yen in ap; another price is another event."""
    state = {region: list(listings(region, "https://tea.example", datetime.now(UTC))) for region in ("us", "eu", "ap")}

    whisks = {region: next(one for one in of if one["product_id"] == "whisk") for region, of in state.items()}
    assert {region: one["price"]["currency"] for region, one in whisks.items()} == {
        "us": "USD",
        "eu": "EUR",
        "ap": "JPY",
    }
    assert whisks["eu"]["name"] == "Matchabesen, 80 Borsten"
    assert len({one["id"] for of in state.values() for one in of}) == 3 * len(products())


async def test_it_waits_for_a_gateway_that_is_not_there_yet(open_gateway, operator, monkeypatch, eventually):
    """Nobody listens where the gateway will be: the shop asks again until it does."""
    monkeypatch.setenv("CARTMESH_URL_GATEWAY", "http://127.0.0.1:9")
    async with seed(operator) as state:
        await asyncio.sleep(0)
        assert not state.done.is_set()

    async with open_gateway():
        await send(operator)

    assert len(await stored(operator, ProductListed)) == len(products())


async def test_the_past_is_sent_once_and_leaves_no_cart_behind(region, open_gateway, operator, monkeypatch):
    """Told on two days, every event is stored once; every cart was bought, so that nobody is offered anything."""
    monkeypatch.setenv("CARTMESH_SHOP_PAST", "true")
    kinds = (ProductViewed, CartUpdated, OrderPlaced, OrderConfirmed, CartConverted, CartAbandoned)
    async with running(carts, Mesh(region.broker("us"), "carts")), open_gateway():
        with monkeypatch.context() as yesterday:
            yesterday.setattr("services.demo.storefront.seeding.datetime", Yesterday)
            state = await send(operator)
        first = await stored(operator, *kinds)
        again = await send(operator)

    assert await stored(operator, *kinds) == first
    assert (state.outcome["refused"], again.outcome["refused"]) == (0, 0)
    assert again.outcome["known"] == state.outcome["accepted"] - len(products())
    found = {kind: [one for one in first if isinstance(one.event, kind)] for kind in kinds}
    assert len(found[ProductViewed]) > 1000
    reported = await stored(operator, ViewsSimulated)
    assert sum(one.event.views for one in reported) == len(found[ProductViewed]), "operators know what nobody viewed"
    filled = {one.event.cart_id for one in found[CartUpdated]}
    assert filled == {one.event.cart_id for one in found[CartConverted]} != set()
    assert {one.event.cart_id for one in found[OrderConfirmed]} == filled, "the shop's server confirmed them"
    assert found[CartAbandoned] == []
    assert all(timedelta(0) < datetime.now(UTC) - one.time < timedelta(days=9) for one in first)


class Yesterday(datetime):
    """The clock a day ago."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - timedelta(days=1)


@pytest.fixture
async def open_shop(region, open_gateway, monkeypatch):
    """Gateway, scoring and shop; the addresses of gateway and shop once the shop has sent everything."""
    monkeypatch.setenv("CARTMESH_SHOP_PAST", "true")
    async with (
        open_gateway() as address,
        running(scoring, Mesh(region.broker("us"), "scoring")),
        running(storefront, Mesh(region.broker("us"), "storefront"), http=("127.0.0.1", 0)) as shop,
    ):
        await asyncio.wait_for(shop.provided[Seeding].done.wait(), 60)
        yield address, f"http://127.0.0.1:{shop.port}"


def view(visitor, product, number):
    return {
        "id": f"{visitor}-{number}",
        "type": "product_viewed",
        "time": datetime.now(UTC).isoformat(),
        "visitor_id": visitor,
        "session_id": visitor,
        "product_id": product,
    }


async def received_picks(lines, wanted):
    """The next picks that are as wanted: product -> reason."""
    async for line in lines:
        if line.startswith("data: "):
            picks = {item["product_id"]: item["reason"] for item in json.loads(line[6:])["items"]}
            if wanted(picks):
                return picks
    raise AssertionError("the stream ended")


async def test_three_clicks_change_what_is_picked(open_shop):
    """Who looks at what belongs to matcha is shown the rest of it, with who saw it together, in the page's language."""
    gateway_url, shop_url = open_shop

    async with httpx.AsyncClient(timeout=60, headers={"authorization": "Bearer demo"}) as browser:

        async def click(*clicked):
            events = [
                view("v1", product, f"{product}-{datetime.now(UTC).timestamp():.6f}".replace(".", "-"))
                for product in clicked
            ]
            answer = await browser.post(f"{gateway_url}/v1/events", json={"events": events})
            assert answer.json()["rejected"] == []

        async with (
            asyncio.timeout(60),
            browser.stream("GET", f"{shop_url}/picks/v1?lang=de") as stream,
        ):
            lines = stream.aiter_lines()
            await click("chamomile")
            first = await received_picks(lines, len)
            for product in ("matcha-asahi", "chawan-kohiki", "scoop"):
                await click(product)
            last = await received_picks(
                lines, lambda picks: "whisk" in picks and any("zusammen mit" in reason for reason in picks.values())
            )

    assert set(first) != set(last)
    assert all(find(product) for product in {**first, **last})
