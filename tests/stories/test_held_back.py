"""What a region that was rebuilt does not give away before somebody has looked: units, codes, orders under way."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.checkout import CheckoutAdvanced, Parked, ParkedCheckouts, Resume, Resumed
from mesh.events.code import CodeChanged, CodeHolder, Discount
from mesh.events.order import Command, OrderCreated
from mesh.events.stock import StockLevelChanged, WarehouseLevel
from mesh.operations.held_back import hold_back
from mesh.runtime.run import running
from mesh.topology.mesh_toml import Topology
from services import checkout
from services.stock.audit import AUDITED, StockAudit
from services.stock.commands import StockCommand, apply
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

LOST_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAYOUT = Topology.load("mesh.toml").layout


@pytest.fixture
async def mesh():
    """The rebuilt region, as its operator sees it."""
    opened = Mesh(MemoryMesh("eu", "us", layout=LAYOUT).broker("eu"), "operator", layout=LAYOUT)
    yield opened
    await opened.broker.drain()


async def only(mesh, name):
    """Held back twice, as where the command was killed: what is said of one thing the second time."""
    others = {"checkouts", "codes", "stock"} - {name}
    await hold_back(mesh, LOST_AT, others)
    return await hold_back(mesh, LOST_AT, others)


async def test_units_are_sold_again_once_they_are_counted(mesh):
    """Those that are reserved stay; each SKU and warehouse is taken off once, and the audit finds nothing wrong."""
    writer = StockWriter(mesh, StockSettings())
    for warehouse, quantity in (("main", 5), ("shop", 2)):
        await apply(writer, "receive", StockCommand(id=warehouse, sku="tea", warehouse=warehouse, quantity=quantity))
    await apply(writer, "receive", StockCommand(id="sold-out", sku="cup", warehouse="main", quantity=1))
    await apply(writer, "adjust", StockCommand(id="gone", sku="cup", warehouse="main", quantity=-1))
    before = (await mesh.last(StockLevelChanged, "tea")).event
    places = [WarehouseLevel(warehouse="main", on_hand=5, reserved=3), *before.warehouses[1:]]
    await mesh.publish(_with(before, warehouses=tuple(places), reserved=3, available=4, movements=()))

    held = await only(mesh, "stock")
    after = (await mesh.last(StockLevelChanged, "tea")).event
    counted = StockCommand(id="counted", sku="tea", warehouse="main", quantity=4)
    level = (await apply(StockWriter(mesh, StockSettings()), "count", counted)).level

    assert held["stock"].startswith("4 units of 1 SKUs can be sold once they are counted")
    assert (after.available, after.reserved, after.on_hand) == (0, 3, 3)
    assert (level.available, level.on_hand) == (1, 4)


async def test_units_taken_off_are_no_violation(mesh):
    """The audit knows them as a command like any other."""
    writer = StockWriter(mesh, StockSettings())
    await apply(writer, "receive", StockCommand(id="r", sku="tea", warehouse="main", quantity=5))
    await only(mesh, "stock")

    audit = StockAudit("eu")
    async for received in mesh.read(*AUDITED):
        audit.apply(received)

    assert audit.violations() == []


async def test_free_codes_are_withdrawn(mesh):
    """One that an order has reserved stays with it, and one that was redeemed stays redeemed."""
    holder = CodeHolder(order_id="o1", region="eu", until=LOST_AT)
    for key, state, held in (("a", "free", None), ("b", "reserved", holder), ("c", "redeemed", holder)):
        discount = Discount(percent=10)
        await mesh.publish(CodeChanged(code_id=key, code=key, state=state, discount=discount, holder=held))

    held = await only(mesh, "codes")
    states = {key: (await mesh.last(CodeChanged, key)).event.state for key in "abc"}

    assert held["codes"] == "1 codes that people have are withdrawn: give out others to those who ask"
    assert states == {"a": "withdrawn", "b": "reserved", "c": "redeemed"}


async def test_orders_under_way_wait_for_a_decision(mesh, eventually):
    """Also one whose checkout had not begun; what is finished is left alone. Somebody decides as about any other."""
    total = Money(amount=2598, currency="EUR")
    for order_id, step in (("begun", "capture"), ("done", "finished"), ("undone", "undone")):
        state = CheckoutAdvanced(
            order_id=order_id, step=step, total=total, payment_method="tok", limit=LOST_AT + timedelta(minutes=1)
        )
        await mesh.publish(state)
    command = Command(key="k", body="b")
    order = OrderCreated(order_id="new", lines=(), total=total, payment_method="tok", command=command, visitor_id="v")
    await mesh.publish(order)

    held = await only(mesh, "checkouts")
    waiting = Mesh(mesh.broker, "checkout", layout=LAYOUT)
    async with running(checkout.service, waiting):
        listed = (await waiting.ask("checkout", "parked", Parked(), ParkedCheckouts)).checkouts
        question = Resume(order_id="new", decision="undo", reason="nobody paid")
        answer = await waiting.ask("checkout", "resume", question, Resumed)
        await eventually(lambda: _unparked(mesh))

    assert held["checkouts"].startswith("2 orders that were under way are parked")
    assert {one.order_id: one.step for one in listed} == {"begun": "capture", "new": "reserve"}
    assert answer.refused is None


async def _unparked(mesh):
    state = (await mesh.last(CheckoutAdvanced, "new")).event
    return state.parked is None and state.failure == "nobody paid"


def _with(level, **fields):
    return StockLevelChanged(**{name: getattr(level, name) for name in level.__struct_fields__} | fields)
