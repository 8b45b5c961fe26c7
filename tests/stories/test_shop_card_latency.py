"""From the moment a left cart falls due to its card on the shop's open page, and from a click to new picks.

In real Chromium on a real mesh; `pytest -m drill -s tests/stories/test_shop_card_latency.py` prints the figures.
"""

import asyncio
import math
import random
import shutil
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.async_api import async_playwright

from mesh.events.cart import CartAbandoned
from mesh.events.offer import OfferDecided, OfferSent
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology
from services.demo.storefront.catalogue import products

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH"),
]
CARTS, AT_ONCE = 120, 6
SETTINGS = {"CARTMESH_ABANDON_AFTER": "3s", "CARTMESH_JOURNEY_QUIET": "", "CARTMESH_JOURNEY_CONTACT_INTERVAL": "0s"}
NOTICE = """
document.addEventListener('cartmesh:offer', () => {
  const look = () => document.querySelector('cartmesh-offer')?.shadowRoot.querySelector('[role=dialog]')
    ? window.shown = performance.timeOrigin + performance.now() : requestAnimationFrame(look)
  requestAnimationFrame(look)
})
"""
LEAVE = """visitor => {
  cartmesh.consent(true)
  cartmesh.identify({ email: visitor + '@example.com' })
  cartmesh.consent('email', true)
  cartmesh.cart([{ product_id: 'whisk', name: 'Matcha whisk', quantity: 1, price: { amount: 2850, currency: 'USD' } }])
}"""


@pytest.mark.timeout(600)
async def test_a_card_is_on_the_page_within_a_second_and_a_half():
    """Of 120 carts that were left, p99 <= 1.5 s from the due moment to the frame in which the dialog is there."""
    shown: dict[str, float] = {}
    async with (
        Up(Topology.of(("us",), nodes=1), environment=SETTINGS, demo=True) as up,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        waiting = iter(range(CARTS))
        shop = up.urls["us"]["storefront"]
        await asyncio.gather(*(leave_carts(browser, shop, waiting, shown) for _ in range(AT_ONCE)))
        await browser.close()
        mesh = await up.operator("us")
        steps = [received async for received in mesh.read(CartAbandoned, OfferDecided, OfferSent)]

    measured = figures(steps, shown)
    print("\n" + "\n".join(f"{name}: {words(of)}" for name, of in measured.items()))
    assert len(measured["due to shown"]) == CARTS
    assert Counter(one.event.outcome for one in steps if isinstance(one.event, OfferDecided)) == {"approved": CARTS}
    assert percentile(measured["due to shown"], 0.99) <= 1.5


@pytest.mark.timeout(300)
async def test_picks_follow_a_click_within_a_second():
    """Of 300 clicks of 60 visitors, p99 <= 1 s from saying it to the gateway until the shop's stream has new picks."""
    taken: list[float] = []
    settings = {**SETTINGS, "CARTMESH_SHOP_PAST": "true"}
    async with (
        Up(Topology.of(("us",), nodes=1), environment=settings, demo=True) as up,
        httpx.AsyncClient(timeout=30, headers={"authorization": "Bearer demo"}) as browser,
    ):
        await first_picks(browser, up)
        for number in range(60):
            await click_through(f"visitor-{number}", browser, up, taken)

    print(f"\nclick to picks: {words(taken)}")
    assert percentile(taken, 0.99) <= 1


async def first_picks(browser, up):
    """Wait until the past was sent and consumed: then somebody's first click is answered with something."""
    for number in range(100):
        try:
            async with asyncio.timeout(1):
                return await click_through(f"early-{number}", browser, up, [], many=1)
        except TimeoutError:
            continue
    raise AssertionError("no picks")


async def click_through(visitor, browser, up, taken, *, many=5):
    """Look at products, one after the other, each once the picks have changed."""
    shelf = products()
    async with browser.stream("GET", f"{up.urls['us']['storefront']}/picks/{visitor}") as stream:
        lines = stream.aiter_lines()
        for number, product in enumerate(random.sample(shelf, many)):
            began = time.perf_counter()
            view = {"id": f"{visitor}-{number}", "type": "product_viewed", "time": datetime.now(UTC).isoformat()}
            measured = {**view, "visitor_id": visitor, "session_id": visitor, "product_id": product.product_id}
            await browser.post(f"{up.gateway('us')}/v1/events", json={"events": [measured]})
            async for line in lines:
                if line.startswith("data: "):
                    break
            taken.append(time.perf_counter() - began)


async def leave_carts(browser, shop, waiting, shown):
    """One visitor after another opens the shop, fills a cart, and does nothing any more until the card is there."""
    for number in waiting:
        await asyncio.sleep(random.uniform(0, 0.5))
        context = await browser.new_context()
        await context.add_init_script(NOTICE)
        page = await context.new_page()
        await page.goto(shop)
        await until(page, "window.cartmesh?.version")
        await page.evaluate(LEAVE, f"visitor-{number}")
        await until(page, "window.shown")
        shown[await page.evaluate("cartmesh.visitor")] = await page.evaluate("shown / 1000")
        await context.close()


async def until(page, expression):
    """Ask a page now and then; its policy forbids the evaluation by which Playwright would wait within it."""
    async with asyncio.timeout(60):
        while not await page.evaluate(expression):  # noqa: ASYNC110  what happens there is no event here
            await asyncio.sleep(0.1)


def figures(steps, shown):
    """Seconds from a cart's due moment to each step that followed, in the log's and the browser's clocks."""
    due = {one.event.cart_id: one.event.due for one in steps if isinstance(one.event, CartAbandoned)}
    visitor = {one.event.cart_id: one.event.visitor_id for one in steps if isinstance(one.event, CartAbandoned)}
    after = {"due to left": CartAbandoned, "due to decided": OfferDecided, "due to sent on site": OfferSent}
    measured = {
        name: [
            (one.stored - due[one.event.cart_id]) / timedelta(seconds=1)
            for one in steps
            if isinstance(one.event, kind) and getattr(one.event, "channel", "onsite") == "onsite"
        ]
        for name, kind in after.items()
    }
    seen = [shown[visitor[cart]] - moment.timestamp() for cart, moment in due.items() if visitor[cart] in shown]
    return {**measured, "due to shown": seen}


def percentile(values, share):
    """The smallest value that so many are not above."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


def words(values):
    """How a list of seconds is spread."""
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    return f"{len(values)}: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, most {max(values) * 1000:.0f} ms"
