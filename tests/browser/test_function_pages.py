"""The functions' pages as engineers see them: real Chromium, and functions in real processes."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.function_call import FunctionCallEnded
from mesh.events.order import OrderConfirmed
from mesh.runtime.run import running
from services import console
from services.functions import service as functions
from services.functions.folder import EXAMPLE
from services.functions.functions import Functions
from tests.pages import SIZES, examine, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
FAILS = '''
from mesh.events.order import OrderConfirmed
from mesh.function import function

@function(on=OrderConfirmed, retries=1, filter=[{"prefix": {"subject": "o"}}])
def count_lines(confirmed):
    """Counts what is ordered."""
    print("counts", confirmed.order_id)
    return 1 / 0
'''


@dataclass
class House:
    """A region's console, with the functions of a folder behind it."""

    url: str
    console: Mesh
    orders: Mesh
    folder: Path
    functions: Functions


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory):
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("functions")
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        patch.setenv("CARTMESH_FUNCTIONS_FOLDER", str(folder))
        patch.setenv("CARTMESH_FUNCTIONS_LOOK", "1h")
        for patient in ("DEADLINE", "START_DEADLINE", "CPU"):
            patch.setenv(f"CARTMESH_FUNCTIONS_{patient}", "60s")
        meshes = {}
        for name in ("functions", "console", "orders"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        run = await stack.enter_async_context(running(functions, meshes["functions"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_FUNCTIONS", f"http://127.0.0.1:{run.port}")
        front = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{front.port}"
        yield House(url, meshes["console"], meshes["orders"], folder, run.provided[Functions])


@pytest.mark.timeout(600)
async def test_an_engineer_sees_what_runs_and_why_something_does_not(house, visit, eventually):
    """From the empty page over a broken file to what a call wrote."""
    page = await visit()
    await sign_in(page, house.console, house.url, "viewer")
    await page.goto(f"{house.url}/console")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Functions").click()
    await expect(page.get_by_role("heading", name="No function runs yet")).to_be_visible()
    await examine(page, "functions-empty", SIZES[1:])

    (house.folder / "stamps.py").write_bytes(EXAMPLE.read_bytes())
    (house.folder / "count.py").write_text(FAILS)
    (house.folder / "broken.py").write_text("import nothing_of_that_name\n")
    await house.functions.look()
    (house.folder / "stamps.py").write_text("def (:\n")
    await house.functions.look()
    total = Money(amount=2598, currency="EUR")
    await house.orders.publish(OrderConfirmed(order_id="o1", lines=(), total=total, visitor_id="v"))

    async def called():
        return len([one async for one in house.orders.read(FunctionCallEnded)]) == 2

    await eventually(called)
    await page.reload()
    await expect(page.get_by_role("row").filter(has_text="give_stamp")).to_contain_text("The version before runs")
    await expect(page.get_by_role("row").filter(has_text="count_lines")).to_contain_text("ZeroDivisionError")
    await expect(page.get_by_role("region", name="broken.py")).to_contain_text("No module named 'nothing_of_that_name'")
    await examine(page, "functions-list")
    await page.get_by_role("link", name="count_lines").click()
    await expect(page.get_by_role("row").filter(has_text="order.confirmed.v1")).to_contain_text("counts o1")
    await examine(page, "functions-one")
