"""Pages from opening to closing while networks and servers fail: every event is stored, and stored once."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 2, price: {amount: 1299, currency: 'EUR'}}]"
TOTAL = f"lines: {LINES}, total: {{amount: 2598, currency: 'EUR'}}"
CALLS = (
    "[cartmesh.view('sku-1')]",
    "[cartmesh.view({product_id: 'sku-2', category: 'tea'}), cartmesh.search({query: 'green tea', results: 3})]",
    f"[cartmesh.cart({LINES})]",
    f"[cartmesh.cart({LINES}), cartmesh.checkout()]",
    f"[cartmesh.cart({LINES}), cartmesh.order({{order_id: 'o-' + Math.random().toString(36).slice(2), {TOTAL}}})]",
    "[cartmesh.identify({email: 'ada@example.com'}), cartmesh.consent('email', true)]",
    "Array.from({length: 20}, (_, n) => cartmesh.view('sku-' + n))",
)


@dataclass(frozen=True, kw_only=True)
class FailureTimes:
    """Seconds that each failure lasts; `between` is the longest pause between two of the servers."""

    offline: float
    down: float
    killed: float
    between: float


async def fail_servers(shop, times, chance):
    """One failure of the servers after the other, until cancelled; then all of them run again."""
    line = shop.lines["us"]
    try:
        while True:
            await asyncio.sleep(times.between * chance.random())
            failure = chance.choice(("line", "jetstream", "killed"))
            if failure == "jetstream":
                shop.regions.stop("us")
            else:
                line.cut()
            await asyncio.sleep(times.killed if failure == "killed" else times.down)
            shop.regions.start("us")
            line.heal()
    finally:
        shop.regions.start("us")
        line.heal()


@contextlib.asynccontextmanager
async def failing(shop, times, chance):
    """Servers and their line fail again and again meanwhile."""
    task = asyncio.create_task(fail_servers(shop, times, chance))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def live(page, shop, times, chance, made):
    """One page's life: it sends events, moves on, may lose its network, and closes in the middle of anything."""
    await page.goto(shop.url(f"/products/{chance.randrange(9)}"))
    steps, offline_at = chance.randint(1, 6), chance.randrange(12)
    for step in range(steps):
        if step == offline_at:
            await page.context.set_offline(True)
        made += await page.evaluate(chance.choice(CALLS))
        match chance.randrange(4):
            case 0:
                await page.evaluate(f"history.pushState({{}}, '', '/search/{step}')")
            case 1 if step < offline_at:
                await page.goto(shop.url(f"/products/{step}"))
            case 2:
                await asyncio.sleep(chance.random() / 2)
    if chance.random() < 0.5:
        await page.close()
        await page.context.set_offline(False)
    else:
        await asyncio.sleep(times.offline if offline_at < steps else 0)
        await page.context.set_offline(False)
        await page.close()


async def visitor(page, shop, times, chance, lives):
    """The ids of all events of one visitor's pages; ends with a visit in which nothing is left to send."""
    made = []
    for _ in range(lives):
        await live(page, shop, times, chance, made)
        page = await page.context.new_page()
    return page, made


async def live_through(shop, visit, settled, times, *, visitors, lives, seed):
    """All lives; returns what the pages made and what the mesh stored."""
    shop.tags = shop.tag("us", "eu")
    chances = [random.Random(f"{seed}-{number}") for number in range(visitors)]
    async with failing(shop, times, random.Random(seed)):
        pages = [await visit() for _ in chances]
        ended = await asyncio.gather(
            *(
                visitor(page, shop, times, chance, lives // visitors)
                for page, chance in zip(pages, chances, strict=True)
            )
        )
    await asyncio.gather(*(settled(page) for page, _ in ended))
    return [id_ for _, made in ended for id_ in made], await shop.stored()


@pytest.mark.drill
@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_doubled(shop, visit, settled):
    """Thirty lives with lost networks, resets, 503 and a region killed: 0 events lost, 0 doubled in any region."""
    times = FailureTimes(offline=0.5, down=0.5, killed=2.0, between=1.5)

    made, stored = await live_through(shop, visit, settled, times, visitors=3, lives=30, seed=4)

    assert stored == dict.fromkeys(made, 1)


@pytest.mark.drill
@pytest.mark.timeout(2400)
async def test_nothing_is_lost_or_doubled_in_a_thousand_lives(shop, visit, settled):
    """A thousand lives; offline for 10 s, servers down for 5 s, the home region killed for 20 s."""
    times = FailureTimes(offline=10, down=5, killed=20, between=8)

    made, stored = await live_through(shop, visit, settled, times, visitors=10, lives=1000, seed=4)

    print(
        f"\n1,000 page lives, {len(made)} events made, {len(set(made) - set(stored))} lost, "
        f"{sum(count > 1 for count in stored.values())} doubled"
    )
    assert stored == dict.fromkeys(made, 1)
