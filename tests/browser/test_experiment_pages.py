"""What offers change, as marketers see it: real Chromium, from nothing measured to a result that can be trusted."""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.offer import Assignment
from mesh.events.order import OrderConfirmed
from mesh.runtime.run import running
from notifications.documents.publishing import publish
from notifications.exact_sums import Sums, day_key
from notifications.journeys.kind import JOURNEYS, files_of
from notifications.studio import service as studio
from notifications.studio.decision_pages.figures import OFFER_DAYS
from notifications.studio.experiment_pages.figures import EffectsWriter
from services import console
from tests.approved_offer import approved_offer
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
SHOPPERS = 4_000
SHARES = {"abandoned-cart": (0.1, 0.24), "spring-sale": (0.1, 0.11), "last-call": (0.1, 0.1)}
"""By journey, how many of those without an offer buy, and of those with one."""


TEST = """template = "mail"
[[steps]]
name = "first"
choose_winner = "orders"
[[steps.variants]]
name = "bold"
[[steps.variants]]
name = "calm"
"""
MAILS = {
    "sent:email": 4_000,
    "unsubscribed": 120,
    "complained": 1,
    "step:first:bold:sent:email": 2_000,
    "step:first:bold:unsubscribed": 20,
    "step:first:calm:sent:email": 2_000,
    "step:first:calm:unsubscribed": 100,
}
"""What became of the mails of the journey that works."""


@dataclass
class House:
    """A region's console, with the studio behind it."""

    url: str
    mesh: Mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    broker, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        meshes = {name: Mesh(broker.broker("us"), name) for name in ("studio", "console")}
        for mesh in meshes.values():
            stack.push_async_callback(mesh.broker.drain)
        pages = await stack.enter_async_context(running(studio, meshes["studio"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"])


async def test_what_offers_change_is_shown_and_can_be_read_by_everyone(house, visit):
    """Before anything is measured the page says how to begin; then each journey says what is known of it."""
    logged = []
    page = await visit()
    listen(page, logged)
    await sign_in(page, house.mesh, house.url, "viewer")
    await page.goto(f"{house.url}/console")

    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Experiments").click()
    await expect(page.get_by_role("heading", name="Nothing is measured yet")).to_be_visible()
    await examine(page)

    await publish(JOURNEYS, "abandoned-cart", files_of(TEST), "ada", house.mesh)
    await EffectsWriter(house.mesh, timedelta(days=7)).apply(_past())
    week_ago = datetime.now(UTC).date() - timedelta(days=7)
    await house.mesh.state(OFFER_DAYS).put(day_key("us", week_ago), Sums(revision=1, groups={"abandoned-cart": MAILS}))
    await page.reload()
    works = page.get_by_role("region", name="abandoned-cart")
    await expect(works).to_contain_text("The offers work: they bring at least ")
    await expect(works).to_contain_text("more orders per 100 shoppers")
    await expect(works).to_contain_text("10.0 % bought")
    await expect(page.get_by_role("region", name="spring-sale")).to_contain_text("Not yet known")
    suspect = page.get_by_role("region", name="last-call")
    await expect(suspect).to_contain_text("These numbers cannot be trusted")
    await expect(suspect).not_to_contain_text("per 100 shoppers")
    await expect(works.get_by_role("heading", name="Margin")).to_be_visible()
    await examine(page)

    await page.get_by_role("link", name="abandoned-cart", exact=True).first.click()
    await expect(page.get_by_role("heading", name="Day by day")).to_be_visible()
    await expect(page.get_by_role("region", name="Result")).to_contain_text("orders that the shop confirmed")
    permission = page.get_by_role("region", name="What it costs in permission")
    await expect(permission).to_contain_text("above 0.5 %: this does harm")
    await expect(permission).to_contain_text("too few to say more")
    variants = page.get_by_role("region", name="Variants of first")
    await expect(variants.get_by_role("row", name="calm")).to_contain_text("5.00 % harm 100 of 2,000")
    await expect(variants.get_by_role("row", name="bold")).to_contain_text("1.00 % 20 of 2,000")
    await expect(variants).to_contain_text("Rule Each variant needs 500 shoppers, of whom 10 bought")
    await page.get_by_text("The numbers of each day").click()
    await expect(page.get_by_role("columnheader", name="At least")).to_be_visible()
    await expect(page.get_by_text("cannot be compared")).to_have_count(0)
    await examine(page)

    await publish(JOURNEYS, "spring-sale", files_of(TEST), "ada", house.mesh)
    await EffectsWriter(house.mesh, timedelta(days=7)).apply(_given(bold=600, calm=400))
    await page.goto(f"{house.url}/experiments/spring-sale")
    warning = page.get_by_role("alert").filter(has_text="The variants of first cannot be compared")
    await expect(warning).to_contain_text("bold was given to 600 shoppers (60.0 %) and should have 50.0 %")
    await examine(page)
    assert logged == []


def _given(**counts):
    """Shoppers who took part just now, by the variant of `spring-sale` that they were given."""
    variants = [name for name, count in counts.items() for _ in range(count)]
    assignment = Assignment(arm="10", probability=0.9, eligible=True, withheld=0.1)
    for number, variant in enumerate(variants, start=100_000):
        of_step = {"step": "first", "variant": variant, "journey": "spring-sale", "assignment": assignment}
        yield _stored(approved_offer(number, visitor_id=f"v{number}", **of_step), datetime.now(UTC), number)


def _past():
    """Shoppers of the last forty days, a tenth of them without an offer, and what they bought.

    Of the journey `last-call` half of those without an offer are missing.
    """
    chance, now = random.Random(7), datetime.now(UTC)
    number = 0
    for journey, (without, with_offer) in SHARES.items():
        for shopper in range(SHOPPERS):
            none = shopper % 10 == 0
            if journey == "last-call" and shopper % 20 == 0:
                continue
            number += 1
            at = now - timedelta(days=40 - 32 * shopper / SHOPPERS)
            visitor = f"v{number}"
            given = Assignment(arm="none" if none else "10", probability=0.9, eligible=True, withheld=0.1)
            step = {"step": "first", "variant": "calm" if number % 20 < 10 else "bold"}
            of_step = step if journey == "abandoned-cart" else {}
            offer = approved_offer(number, visitor_id=visitor, journey=journey, assignment=given, **of_step)
            yield _stored(offer, at, number)
            share = without if none else with_offer
            if shopper // 10 % 50 < share * 50:  # exact shares, so that the page's numbers are known
                total = Money(amount=round(chance.lognormvariate(8.3, 0.6)), currency="EUR")
                order = OrderConfirmed(order_id=f"o{number}", visitor_id=visitor, lines=(), total=total)
                yield _stored(order, at + timedelta(hours=30), number)


def _stored(event, at, number):
    name = f"{type(event).__name__}-{number}"
    return Received(event=event, id=name, time=at, stored=at, region="us", sequence=number, subject="s")
