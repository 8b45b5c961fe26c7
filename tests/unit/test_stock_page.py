"""The stock page: levels of every region, commands as forms by role, and what the audit found."""

import re

import pytest

from mesh import Mesh
from mesh.events.console import ConsoleChanged
from mesh.events.stock import StockCommandApplied, StockLevelChanged
from mesh.runtime.run import running
from services import stock
from services.stock.auditor import Auditor


@pytest.fixture
async def shop(regions, mesh):
    """The stock of `us`, which sees that of `eu`."""
    broker = regions.broker("us")
    async with running(stock.service, Mesh(broker, "stock", others=("eu",)), http=("127.0.0.1", 0)) as run:
        yield run.port, run.provided[Auditor]
    await broker.drain()


def tea(**fields):
    return {"page": "/stock", "command": "receive", "sku": "tea", "warehouse": "north", "quantity": "10", **fields}


async def level(mesh):
    last = await mesh.last(StockLevelChanged, "tea")
    return {one.warehouse: one.on_hand for one in last.event.warehouses}


async def test_whoever_has_the_role_changes_the_stock(shop, mesh, staff):
    """A viewer does not. Each change is a command of the stock and an audit event."""
    port, _ = shop
    vi, wes = await staff(mesh, port, "viewer"), await staff(mesh, port, "warehouse")

    refused = await vi.send("/stock/command", **tea(id="c0"))
    answers = [
        await wes.send("/stock/command", **tea(id="c1")),
        await wes.send("/stock/command", **tea(id="c2", command="transfer", to_warehouse="south", quantity="4")),
        await wes.send("/stock/command", **tea(id="c3", command="count", quantity="5")),
        await wes.send("/stock/command", **tea(id="c4", command="adjust", quantity="-2", reason="broken")),
    ]

    assert (refused.status_code, [answer.status_code for answer in answers]) == (403, [303] * 4)
    assert await level(mesh) == {"north": 3, "south": 4}
    assert (await mesh.last(StockCommandApplied, "c4")).event.reason == "broken"
    changed = [one.event.details["command"] async for one in mesh.read(ConsoleChanged)]
    assert changed == ["receive", "transfer", "count", "adjust"]
    assert [("What happened" in (await one.get("/stock/tea")).text) for one in (vi, wes)] == [False, True]


async def test_a_form_that_is_sent_twice_changes_the_stock_once(shop, mesh, staff):
    """The page gives each form an id of its own."""
    port, _ = shop
    wes = await staff(mesh, port, "warehouse")
    ids = [re.search(r'name="id" value="([\w-]+)"', (await wes.get("/stock")).text)[1] for _ in range(2)]

    for _ in range(2):
        assert (await wes.send("/stock/command", **tea(id=ids[0]))).status_code == 303

    assert await level(mesh) == {"north": 10}
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"quantity": "many"}, 422, "whole number"),
        ({"quantity": "0"}, 422, "1 unit or more"),
        ({"quantity": "9" * 12}, 422, "field is wrong"),
        ({"sku": "green tea"}, 422, "field is wrong"),
        ({"command": "burn"}, 422, "hoose what"),
        ({"command": "adjust", "quantity": "-1"}, 409, "cannot be taken"),
    ],
)
async def test_what_cannot_be_meant_is_refused_in_words(shop, mesh, staff, fields, status, words):
    """And nothing is changed."""
    port, _ = shop
    wes = await staff(mesh, port, "warehouse")

    answer = await wes.send("/stock/command", **tea(id="c1", **fields))

    assert (answer.status_code, words in answer.text) == (status, True)
    assert await mesh.last(StockLevelChanged, "tea") is None


async def test_levels_of_every_region_are_shown_with_the_audit(shop, mesh, regions, staff):
    """What another region has is shown as it has arrived here."""
    port, auditor = shop
    wes = await staff(mesh, port, "warehouse")
    await wes.send("/stock/command", **tea(id="c1"))
    other = regions.broker("eu")
    await Mesh(other, "stock").publish(StockLevelChanged(sku="tea", on_hand=7, available=7, received=7))
    await other.drain()
    await auditor.look()

    page, one = (await wes.get("/stock")).text, (await wes.get("/stock/tea")).text

    assert 'data-label="Region">us<' in page
    assert 'data-label="Region">eu<' in page
    assert "every unit is accounted for" in page
    assert "received 10" in one
    assert "/stock/tea" not in (await wes.get("/stock?q=coffee")).text
    assert (await wes.get("/stock/coffee")).status_code == 404


async def test_stock_that_does_not_add_up_is_the_first_thing_shown(shop, mesh, staff):
    """A level that says more than what came."""
    port, auditor = shop
    wes = await staff(mesh, port, "warehouse")
    await wes.send("/stock/command", **tea(id="c1"))
    await mesh.publish(StockLevelChanged(sku="tea", on_hand=99, available=99, received=99))
    await auditor.look()

    assert "does not add up" in (await wes.get("/stock")).text
