"""The page of offers and codes as a publisher sees it, in real Chromium: import, look up, and what is left."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.budget import BudgetChanged
from mesh.events.code import AssignCode, CodeChanged, CodeHolder, Discount
from mesh.events.console import ConsoleChanged
from mesh.runtime.run import running
from services import console, promotions
from services.promotions.code_key import code_id
from services.promotions.code_lists import CodeLists
from tests.pages import examine, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class House:
    """A region's console, with the promotions behind it."""

    url: str
    mesh: Mesh
    lists: CodeLists


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        meshes = {}
        for name in ("promotions", "console"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        pages = await stack.enter_async_context(
            running(promotions.service, meshes["promotions"], http=("127.0.0.1", 0))
        )
        patch.setenv("CARTMESH_URL_PROMOTIONS", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"], pages.provided[CodeLists])


async def _what_happened(house):
    """A code of the list that was handed out and redeemed, and a budget of which some is committed."""
    wanted = AssignCode(list_name="summer", offer_id="o1", journey="spring-sale", discount=Discount(percent=10))
    code = (await house.lists.assign(wanted)).code
    euros = Money(amount=900, currency="EUR")
    free = (await house.mesh.last(CodeChanged, code_id(code))).event
    holder = CodeHolder(order_id="order-7", region="us", amount=Money(amount=8100, currency="EUR"))
    expires = datetime.now(UTC) + timedelta(days=3)
    await house.mesh.publish(
        CodeChanged(
            code_id=free.code_id,
            code=code,
            state="redeemed",
            before="free",
            discount=free.discount,
            holder=holder,
            expires=expires,
            journey="spring-sale",
            list_name="summer",
        ),
        BudgetChanged(
            journey="spring-sale",
            committed=(euros,),
            budget=(Money(amount=5000, currency="EUR"),),
            day=f"{datetime.now(UTC):%Y-%m-%d}",
            today=(euros,),
        ),
    )
    return code


@pytest.mark.timeout(600)
async def test_a_publisher_imports_codes_and_sees_what_becomes_of_them(house, visit):
    """Empty pages say what to do; a wrong file says which line; axe-core finds nothing, wide and narrow."""
    logged = []
    page = await visit()
    page.on("console", lambda line: None if "422" in line.text else logged.append(line.text))
    await sign_in(page, house.mesh, house.url, "publisher")
    await page.goto(f"{house.url}/console")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Offers and codes").click()
    await expect(page.get_by_text("There is no list, and none is needed")).to_be_visible()
    await expect(page.get_by_text("No offer with a budget was made yet")).to_be_visible()
    await examine(page)

    body = b"code\nSUMMER-1\nSUMMER-2\nsummer 1\nS\xdcMMER-3\n"
    for skip in (False, True):
        if not skip:
            await page.get_by_text("Import codes").press("Enter")
        await page.get_by_label("Name of the list").fill("summer")
        await page.get_by_label("CSV file").set_input_files({"name": "c.csv", "mimeType": "text/csv", "buffer": body})
        await page.get_by_label("Leave out lines").set_checked(skip)
        await page.get_by_role("button", name="Import").click()
        if not skip:
            await expect(page.get_by_text("Line 4: summer 1 stands in line 2, too")).to_be_visible()
            await expect(page.get_by_text("Line 5: is not UTF-8")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("2 codes were added to summer.")

    code = await _what_happened(house)
    await page.reload()
    await page.get_by_label("Code", exact=True).fill(code.lower())
    await page.get_by_role("button", name="Find").click()

    await expect(page.get_by_role("group", name="Find a code").get_by_text("order-7")).to_be_visible()
    budgets = page.get_by_role("group", name="Budgets")
    await expect(budgets.get_by_text("41.00 EUR")).to_be_visible()
    await expect(page.get_by_role("group", name="Newest redemptions").get_by_text("order-7")).to_be_visible()
    await expect(page.get_by_role("group", name="Code lists").get_by_role("row").nth(1)).to_contain_text("summer")
    await examine(page)
    exported = await page.request.get(f"{house.url}/offers/lists/summer/used.csv")
    assert (await exported.text()).splitlines()[1].startswith(f"{code},redeemed,order-7,us,")
    changed = [one.event async for one in house.mesh.read(ConsoleChanged)]
    looked = next(one for one in changed if one.action == "find-code")
    assert looked.subject == code_id(code)
    assert code not in str(looked)
    assert logged == []
