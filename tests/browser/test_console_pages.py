"""The console's pages as people see them: real Chromium, the real services on a mesh in memory."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine
from mesh.events.checkout import CheckoutAdvanced
from mesh.events.fraud import FraudCheckRequested
from mesh.events.order import Command, OrderCreated
from mesh.events.payment import (
    Chargeback,
    PaymentCaptured,
    PaymentChargedBack,
    PaymentDifference,
    PaymentFlagged,
    PaymentReconciled,
    PaymentState,
)
from mesh.events.stock import StockReservationRequested
from mesh.runtime.run import running
from mesh.web.invitations import Invitations
from services import checkout, console, payments, stock
from services.fraud import review
from services.fraud.current_rules import publish_rules
from services.fraud.rules import FraudSettings, rules_of
from services.operations import board
from services.orders import views as order_views
from services.orders.views.index import OrderIndex
from services.stock.commands import StockCommand, apply
from services.stock.writer import StockWriter
from tests.pages import examine, listen

pytestmark = pytest.mark.asyncio(loop_scope="session")
PASSWORD = "correct horse battery staple"
PAGES = ("/console", "/console/account", "/console/accounts", "/console/audit", "/board")
SHOP = {
    "/orders": "order-views",
    "/orders/o1": "order-views",
    "/stock": "stock",
    "/stock/tea": "stock",
    "/payments": "payments",
    "/payments/o1": "payments",
    "/fraud": "fraud-review",
    "/fraud/rules": "fraud-review",
}
"""The pages for a shop's staff, and whose they are."""
TOTAL = Money(amount=4200, currency="EUR")
NONE = Money(amount=0, currency="EUR")


@dataclass
class House:
    """A region's console, with the board behind it."""

    url: str
    mesh: Mesh
    regions: MemoryMesh

    async def join(self, page, name, role="admin"):
        """Create an account by an invitation's link, as people do; they are signed in then."""
        token = await Invitations(self.mesh).create(roles=(role,))
        await page.goto(f"{self.url}/console/join/{token}")
        await page.get_by_label("Your name").fill(name)
        await page.get_by_label("E-mail address").fill(f"{name.lower()}@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Create account").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Console")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        meshes = {}
        for name in ("board", "console"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        of_board = await stack.enter_async_context(running(board.service, meshes["board"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_BOARD", f"http://127.0.0.1:{of_board.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"], regions)


async def test_one_sign_in_opens_every_page(house, visit):
    """The board is asked for, the sign-in comes, and behind it the board with the navigation; it is live."""
    page = await visit()
    await house.join(page, "Ada")
    await page.get_by_role("button", name="Sign out").click()

    await page.goto(f"{house.url}/board")
    await page.get_by_label("E-mail address").fill("ada@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Live")
    await expect(page.get_by_role("link", name="Live")).to_have_attribute("aria-current", "page")
    await expect(page.locator("#connection")).to_have_text("Live")
    assert page.url == f"{house.url}/board"
    assert (await page.locator("header.top").bounding_box())["height"] >= 40


async def test_a_session_that_was_ended_leads_back_to_the_sign_in(house, visit):
    """Also from a board that is open: it does not go on trying for ever."""
    page, other = await visit(), await visit()
    await house.join(page, "Bea")
    await page.goto(f"{house.url}/board")
    await expect(page.locator("#connection")).to_have_text("Live")

    await other.goto(f"{house.url}/console/sign-in")
    await other.get_by_label("E-mail address").fill("bea@example.com")
    await other.get_by_label("Password").fill(PASSWORD)
    await other.get_by_role("button", name="Sign in").click()
    await other.goto(f"{house.url}/console/account")
    await other.get_by_role("button", name="End every other session").click()
    await expect(other.get_by_role("status")).to_contain_text("Every other session has ended")

    await page.wait_for_url("**/console/sign-in?next=**")


@pytest.mark.timeout(600)
async def test_everyone_can_use_it(house, visit):
    """axe-core finds nothing on any page, wide and light, narrow and dark; nothing is cut off."""
    logged = []
    page = await visit()
    listen(page, logged)
    await page.goto(f"{house.url}/console/sign-in")
    await examine(page, "/console/sign-in")
    await house.join(page, "Cleo")
    await house.join(await visit(), "Dora", "marketer")
    for path in PAGES:
        await page.goto(house.url + path)
        await examine(page, path)

    assert logged == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(house, eventually):
    """The services of the shop's pages, each with something to show; the address of each."""
    async with AsyncExitStack() as stack:
        runs = {}
        for service in (checkout.service, order_views.service, stock.service, payments.service, review.service):
            broker = house.regions.broker("us")
            stack.push_async_callback(broker.drain)
            run = running(service, Mesh(broker, service.name), http=("127.0.0.1", 0))
            runs[service.name] = await stack.enter_async_context(run)
        await _sell(house.mesh, runs, eventually)
        yield {name: f"http://127.0.0.1:{run.port}" for name, run in runs.items() if run.port}


async def _sell(mesh, runs, eventually):
    """An order that waits for a review of its payment, one that was charged back, stock, rules in shadow."""
    tea = StockCommand(id="c1", sku="tea", warehouse="north", quantity=10)
    await apply(runs["stock"].provided[StockWriter], "receive", tea)
    line = CartLine(product_id="tea", quantity=2, price=Money(amount=2100, currency="EUR"), name="Green tea")
    command = Command(key="o1", body="b")
    await mesh.publish(OrderCreated(order_id="o1", lines=(line,), total=TOTAL, payment_method="tok", command=command))
    await eventually(lambda: mesh.last(StockReservationRequested, "o1"))
    await eventually(lambda: mesh.last(FraudCheckRequested, "o1"))
    reasons = ("7 orders of one card in 1m", "the account is 0.2 h old")
    await mesh.publish(PaymentFlagged(order_id="o1", score=130, rules=("card",), reasons=reasons, answers="r"))
    claim = Chargeback(dispute_id="dp_1", amount=TOTAL, reason="fraudulent")
    state = PaymentState(
        provider="sandbox", authorised=TOTAL, captured=TOTAL, released=NONE, refunded=NONE, chargebacks=(claim,)
    )
    named = {"payment_id": "o1", "order_id": "o1", "payment": state}
    await mesh.publish(PaymentCaptured(**named))
    await mesh.publish(PaymentChargedBack(**named, dispute_id="dp_1", amount=TOTAL, reason="fraudulent"))
    unpaid = PaymentDifference(kind="order_without_charge", detail="nothing is held", order_id="o2")
    await mesh.publish(PaymentReconciled(day="2026-05-01", provider="sandbox", compared=3, differences=(unpaid,)))
    rules = rules_of(FraudSettings())
    await publish_rules("shadow", rules, author="a", note="tried", expected=0, mesh=mesh)

    async def parked():
        last = await mesh.last(CheckoutAdvanced, "o1")
        return last and last.event.parked and runs["order-views"].provided[OrderIndex].search(lambda _: True, 1)

    await eventually(parked)


@pytest.mark.timeout(600)
async def test_everyone_can_use_the_shops_pages(house, shop, visit):
    """Orders, stock, payments, fraud and its rules: axe-core finds nothing, wide and light, narrow and dark."""
    logged = []
    page = await visit()
    listen(page, logged)
    await house.join(page, "Eve")
    for path, service in SHOP.items():
        answer = await page.goto(shop[service] + path)
        assert answer.status == 200, path
        await examine(page, path)

    await page.goto(f"{shop['fraud-review']}/fraud")
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    assert logged == []
