"""Stock in memory: commands over HTTP, and reservations of two regions that lend each other units."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from litestar.testing import AsyncTestClient

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.stock import (
    StockLevelChanged,
    StockLine,
    StockLowReached,
    StockReleaseRequested,
    StockReplenished,
    StockReservationChanged,
    StockReservationRequested,
    StockSaleRequested,
)
from mesh.runtime.run import running
from mesh.topology.mesh_toml import Topology
from services import stock
from services.stock.app import build
from services.stock.audit import AUDITED, StockAudit, in_flight, loans_between
from services.stock.auditor import VIOLATIONS, Auditor
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

KEY = {"authorization": "Bearer secret"}
LAYOUT = Topology.load("mesh.toml").layout
PATIENCE = timedelta(seconds=60)


class Shop:
    """One region's stock at work, as the shop's server and a checkout see it."""

    def __init__(self, mesh, client, eventually):
        self.mesh, self.client, self._eventually, self._commands = mesh, client, eventually, 0

    async def command(self, kind, expected=200, **fields):
        self._commands += 1
        body = {"id": f"{self.mesh.region}-{self._commands}", "sku": "s1", "warehouse": "w1", "quantity": 1} | fields
        answer = await self.client.post(f"/v1/stock/{kind}", json=body, headers=KEY)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def receive(self, quantity, sku="s1", warehouse="w1"):
        return await self.command("receive", sku=sku, quantity=quantity, warehouse=warehouse)

    async def reserve(self, order_id, *, holds=timedelta(hours=1), **units):
        lines = tuple(StockLine(sku=sku, quantity=quantity) for sku, quantity in units.items())
        until = datetime.now(UTC) + holds
        await self.mesh.publish(StockReservationRequested(order_id=order_id, lines=lines, until=until))

    async def became(self, order_id, *outcomes):
        """The reservation once it has one of these outcomes."""

        async def found():
            state = await self.mesh.last(StockReservationChanged, order_id)
            return state.event if state and state.event.outcome in outcomes else None

        return await self._eventually(found)

    async def level(self, sku="s1"):
        return (await self.mesh.last(StockLevelChanged, sku)).event

    async def all(self, kind):
        return [received.event async for received in self.mesh.read(kind)]

    async def audit(self):
        audit = StockAudit(self.mesh.region)
        async for received in self.mesh.read(*AUDITED):
            audit.apply(received)
        return audit


@pytest.fixture
def linked():
    """Two linked regions in memory with the streams of `mesh.toml`."""
    return MemoryMesh("us", "eu", layout=LAYOUT)


@pytest.fixture
async def shops(linked, monkeypatch, eventually):
    """The stock service at work in `us` and `eu`."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "secret")
    monkeypatch.setenv("CARTMESH_STOCK_LOAN_PATIENCE", f"{PATIENCE.total_seconds():g}s")
    monkeypatch.setenv("CARTMESH_STOCK_LOAN_PAUSE", "20ms")
    async with AsyncExitStack() as stack:
        opened = []
        for region, other in (("us", "eu"), ("eu", "us")):
            broker = linked.broker(region)
            stack.push_async_callback(broker.drain)
            mesh = Mesh(broker, "stock", others=(other,), layout=LAYOUT)
            await stack.enter_async_context(running(stock.service, mesh))
            app = build(mesh, StockWriter(mesh, StockSettings()), Auditor(mesh))
            client = await stack.enter_async_context(AsyncTestClient(app))
            opened.append(Shop(mesh, client, eventually))
        yield opened


@pytest.fixture
async def shop(shops):
    """The stock service of `us`."""
    return shops[0]


@pytest.fixture
async def counter(linked, monkeypatch, eventually):
    """The HTTP interface of `us` alone: nothing is reserved."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "secret")
    mesh = Mesh(linked.broker("us"), "stock", layout=LAYOUT)
    async with AsyncTestClient(build(mesh, StockWriter(mesh, StockSettings()), Auditor(mesh))) as client:
        yield Shop(mesh, client, eventually)
    await mesh.broker.drain()


async def test_a_merchants_commands(shop):
    """Units are received, moved, counted and written off; what is reserved stays where it is."""
    await shop.receive(10)
    await shop.command("transfer", quantity=4, to_warehouse="w2")
    await shop.command("count", quantity=5)
    done = await shop.command("adjust", warehouse="w2", quantity=-1, reason="broken")

    assert [(one["warehouse"], one["on_hand"]) for one in done["level"]["warehouses"]] == [("w1", 5), ("w2", 3)]
    assert (done["level"]["received"], done["level"]["removed"], done["level"]["available"]) == (10, 2, 8)
    await shop.reserve("o1", s1=5)
    await shop.became("o1", "reserved")
    assert "5 of them are reserved" in (await shop.command("count", quantity=2, expected=409))["detail"]
    shown = (await shop.client.get("/v1/stock/s1", headers=KEY)).json()
    assert (shown["available"], shown["reserved"]) == (3, 5)


async def test_a_command_counts_once(counter):
    """Sent again under its id it changes nothing; another one under the same id is refused."""
    first = await counter.command("receive", id="delivery-1", quantity=3)
    again = await counter.command("receive", id="delivery-1", quantity=3)
    other = await counter.command("receive", id="delivery-1", quantity=4, expected=409)

    assert (first["repeated"], again["repeated"], again["level"]["on_hand"]) == (False, True, 3)
    assert "delivery-1" in other["detail"]


@pytest.mark.parametrize(
    ("kind", "fields", "status", "reason"),
    [
        ("receive", {"quantity": 0}, 422, "1 unit or more"),
        ("receive", {"quantity": "many"}, 422, "Expected `int`"),
        ("receive", {"quantity": 10**12}, 422, "Expected `int` <="),
        ("receive", {"sku": "a b"}, 422, "$.sku"),
        ("receive", {"colour": "red"}, 422, "unknown field `colour`"),
        ("adjust", {"quantity": -1}, 409, "cannot be taken"),
        ("adjust", {"quantity": 0}, 422, "changes nothing"),
        ("count", {"quantity": -1}, 422, "nobody counts"),
        ("transfer", {}, 422, "second warehouse"),
        ("transfer", {"to_warehouse": "w1"}, 422, "already"),
        ("sell", {}, 404, "none of receive"),
    ],
)
async def test_a_wrong_command_says_what_is_wrong(counter, kind, fields, status, reason):
    """A command that cannot be is refused, with the reason, and changes nothing."""
    problem = await counter.command(kind, expected=status, **fields)

    assert reason in problem["detail"]
    assert await counter.all(StockLevelChanged) == []


async def test_only_the_shops_servers_command(counter):
    """Without a server key nothing is changed or shown; broken JSON is refused."""
    for wrong in ({}, {"authorization": "Bearer demo"}):
        for path in ("/v1/stock/s1", "/v1/stock/audit"):
            assert (await counter.client.get(path, headers=wrong)).status_code == 401
        assert (await counter.client.post("/v1/stock/receive", content=b"{}", headers=wrong)).status_code == 401
    assert (await counter.client.post("/v1/stock/receive", content=b"{", headers=KEY)).status_code == 400
    assert (await counter.client.get("/v1/stock/s1", headers=KEY)).status_code == 404


async def test_an_order_reserves_all_or_nothing(shop):
    """Lines of one SKU count together; where one SKU is short nothing of the order is taken."""
    await shop.receive(3)
    await shop.receive(1, sku="s2")
    twice = (StockLine(sku="s1", quantity=2), StockLine(sku="s1", quantity=2))
    until = datetime.now(UTC) + timedelta(hours=1)

    await shop.mesh.publish(StockReservationRequested(order_id="o1", lines=twice, until=until))
    summed = await shop.became("o1", "refused")
    await shop.reserve("o2", s1=1, s2=2)
    short = await shop.became("o2", "refused")
    await shop.reserve("o3", s1=3, s2=1)
    whole = await shop.became("o3", "reserved")

    assert [(one.sku, one.wanted, one.available) for one in summed.short] == [("s1", 4, 3)]
    assert [(one.sku, one.wanted, one.available) for one in short.short] == [("s2", 2, 1)]
    assert [(one.sku, one.warehouse, one.quantity) for one in whole.taken] == [("s1", "w1", 3), ("s2", "w1", 1)]
    assert ((await shop.level()).available, (await shop.level("s2")).available) == (0, 0)


WRONG = {
    "there are no lines": (),
    "s1: -2 is no quantity": (StockLine(sku="s1", quantity=-2),),
    "s1: 1000000000 is no quantity": (StockLine(sku="s1", quantity=10**9),),
    "sku 'a.b' must be 1 to 128 of A-Z a-z 0-9 _ and -": (StockLine(sku="a.b", quantity=1),),
    "there are more than 250 different SKUs": tuple(StockLine(sku=f"s{number}", quantity=1) for number in range(251)),
}


async def test_a_wrong_request_is_refused(shop):
    """What nobody can reserve is answered with the reason, and does not become a dead letter."""
    until = datetime.now(UTC) + timedelta(hours=1)
    for at, lines in enumerate(WRONG.values()):
        await shop.mesh.publish(StockReservationRequested(order_id=f"o{at}", lines=lines, until=until))

    assert [(await shop.became(f"o{at}", "refused")).reason for at in range(len(WRONG))] == list(WRONG)


async def test_a_reservation_is_sold_once(shop):
    """A sale takes the reserved units away for good; asked again, or asked to give back, it changes nothing."""
    await shop.receive(5)
    await shop.reserve("o1", s1=2)
    await shop.became("o1", "reserved")
    for request in (StockSaleRequested, StockSaleRequested, StockReleaseRequested):
        await shop.mesh.publish(request(order_id="o1"))
    await shop.reserve("o2", s1=1)
    await shop.became("o2", "reserved")

    level = await shop.level()
    assert (level.sold, level.on_hand, level.reserved, level.available) == (2, 3, 1, 2)
    states = [one.outcome for one in await shop.all(StockReservationChanged) if one.order_id == "o1"]
    assert states == ["reserved", "sold"]


async def test_a_released_order_stays_released(shop):
    """A release gives the units back once; a sale after it says that it cannot, and a request from before is void."""
    await shop.receive(5)
    await shop.reserve("o1", s1=2)
    await shop.became("o1", "reserved")
    for _ in range(2):
        await shop.mesh.publish(StockReleaseRequested(order_id="o1", reason="the shopper left"))
    await shop.became("o1", "released")
    await shop.mesh.publish(StockSaleRequested(order_id="o1"))
    refused = await shop.became("o1", "refused")

    assert refused.reason == "it was released before"
    level = await shop.level()
    assert (level.on_hand, level.reserved, level.sold) == (5, 0, 0)


async def test_a_reservation_expires_and_can_be_sold_all_the_same(shop):
    """When its time is over the units are everybody's again; a sale then takes them if there are enough."""
    await shop.receive(3)
    await shop.reserve("o1", holds=timedelta(milliseconds=300), s1=2)
    await shop.reserve("o2", holds=timedelta(milliseconds=300), s1=1)
    await shop.became("o1", "expired")
    await shop.became("o2", "expired")

    await shop.mesh.publish(StockSaleRequested(order_id="o1"))
    await shop.became("o1", "sold")
    await shop.reserve("o3", s1=1)
    await shop.became("o3", "reserved")
    await shop.mesh.publish(StockSaleRequested(order_id="o2"))
    late = await shop.became("o2", "refused")

    assert (late.reason, late.before) == ("not enough of s1", "expired")
    level = await shop.level()
    assert (level.sold, level.reserved, level.available) == (2, 1, 0)


async def test_low_and_back_again(shop):
    """Storefronts learn when few units are left, and when there are some again after there were none."""
    await shop.receive(7)
    await shop.reserve("o1", s1=1)
    await shop.became("o1", "reserved")
    await shop.reserve("o2", s1=6)
    await shop.became("o2", "reserved")
    await shop.receive(20)

    assert [(one.sku, one.available, one.threshold) for one in await shop.all(StockLowReached)] == [("s1", 0, 5)]
    assert [(one.sku, one.available) for one in await shop.all(StockReplenished)] == [("s1", 20)]


async def test_a_region_borrows_what_it_lacks(shops):
    """A request that is short here waits for units of the other region, which leave there first and come once."""
    us, eu = shops
    await us.receive(2)
    await eu.receive(5, warehouse="berlin")

    await us.reserve("o1", s1=4)
    reserved = await us.became("o1", "reserved")

    assert sorted((one.warehouse, one.quantity) for one in reserved.taken) == [("eu:berlin", 2), ("w1", 2)]
    assert ((await us.level()).borrowed, (await eu.level()).lent, (await eu.level()).available) == (2, 2, 3)


async def test_a_region_that_is_cut_off_sells_its_own(shops, linked, eventually):
    """Without a link a region sells what it has. A loan that was under way comes when the link is up, once."""
    us, eu = shops
    await us.receive(2)
    await eu.receive(5)
    linked.cut("us")
    await us.reserve("waits", s1=3)
    await us.reserve("own", s1=2)
    await us.became("own", "reserved")

    assert await us.mesh.last(StockReservationChanged, "waits") is None
    linked.heal("us")
    await us.became("waits", "reserved")
    audits = [await us.audit(), await eu.audit()]
    assert ([one.violations() for one in audits], list(loans_between(audits)), in_flight(audits)) == ([[], []], [], {})
    assert sum(one.accounts["s1"].total.reserved for one in audits) == 5


async def test_many_buyers_of_the_last_ten(shops):
    """600 buyers in two regions, with ten units between them: ten get one, and everybody is answered."""
    await asyncio.gather(shops[0].receive(3), shops[1].receive(7))

    buying = [
        shop.reserve(f"{shop.mesh.region}-{number}", holds=timedelta(hours=1), s1=1)
        for number in range(300)
        for shop in shops
    ]
    await asyncio.gather(*buying)
    outcomes = [
        (await shop.became(f"{shop.mesh.region}-{number}", "reserved", "refused")).outcome
        for shop in shops
        for number in range(300)
    ]

    assert outcomes.count("reserved") == 10
    assert [(await shop.audit()).violations() for shop in shops] == [[], []]


async def test_the_auditor_finds_a_unit_that_is_sold_twice(shop):
    """Levels that nothing explains are an alarm: the auditor adds up commands, orders and loans by itself."""
    await shop.receive(2)
    await shop.reserve("o1", s1=2)
    await shop.became("o1", "reserved")
    auditor = Auditor(shop.mesh)
    assert await auditor.look() == ()

    level = await shop.level()
    forged = {"order_id": "o2", "outcome": "sold", "lines": (), "answers": "x", "request_sequence": 1}
    taken = (await shop.became("o1", "reserved")).taken
    await shop.mesh.publish(StockReservationChanged(taken=taken, **forged), level)
    found = await auditor.look()

    assert any("2 more units are reserved, sold or gone than ever came" in one for one in found)
    assert any("the level has" in one for one in found)
    assert VIOLATIONS.labels("us")._value.get() == len(found) > 0


async def test_levels_do_not_expire(counter):
    """A level that the stream would forget is stored again as it is."""
    await counter.receive(2)
    auditor, writer = Auditor(counter.mesh), StockWriter(counter.mesh, StockSettings())
    await auditor.look()
    assert await auditor.restate(writer) == 0

    auditor._audit.accounts["s1"].stored -= LAYOUT.family_of_domain("stock").keep
    assert await auditor.restate(writer) == 1
    level = await counter.level()
    assert (level.on_hand, level.movements[0].kind) == (2, "restated")
    assert await auditor.look() == ()
