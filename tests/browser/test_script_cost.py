"""What the browser script costs a page: its thread's time, by Chromium's own counters, and its frames."""

from statistics import median

import pytest

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.drill]
EVENTS = 500
SAY = """
    const line = { product_id: 'sku-1', quantity: 1, price: { amount: 1299, currency: 'EUR' } }
    const say = n => n % 5
        ? cartmesh.view({ product_id: 'sku-' + n, category: 'tea', brand: 'Acme', price: line.price })
        : cartmesh.cart([line, line, line])
    const pause = time => new Promise(done => setTimeout(done, time))
    const timed = work => { const before = performance.now(); work(); return performance.now() - before }"""
# Events of a page, `each` in one go: the milliseconds of every go, inside the calls alone.
SAYING = f"""async each => {{ {SAY}
    const took = []
    for (let made = 0; made < {EVENTS};) {{
        took.push(timed(() => {{ for (let n = 0; n < each; n++) say(made++) }}))
        await pause(10 * each)
    }}
    while (cartmesh.waiting) await pause(10)
    return took
}}"""
SILENCE = f"""async each => {{ {SAY}
    for (let n = 0; n < {EVENTS} / each; n++) await pause(10 * each)
}}"""
# For `time` milliseconds, `rate` events a millisecond: how long every frame took, sorted, and what was kept.
FLOOD = f"""async ([time, rate]) => {{ {SAY}
    const frames = [], start = performance.now()
    let made = 0, most = 0, last = start
    const frame = () => {{
        frames.push(-last + (last = performance.now()))
        if (last - start < time) requestAnimationFrame(frame)
    }}
    requestAnimationFrame(frame)
    while (performance.now() - start < time) {{
        while (made < (performance.now() - start) * rate) say(made++)
        most = Math.max(most, cartmesh.waiting)
        await pause(1)
    }}
    return {{ made, most, frames: frames.sort((a, b) => a - b) }}
}}"""


@pytest.fixture
def page_of(shop, visit):
    """A page of the shop, warm, and a way to read the milliseconds of CPU that its thread has used."""

    async def opened():
        page = await visit()
        counters = await page.context.new_cdp_session(page)
        await counters.send("Performance.enable", {"timeDomain": "threadTicks"})
        await page.goto(shop.url())
        await page.evaluate(SAYING, 50)

        async def spent() -> float:
            details = await counters.send("Performance.getMetrics")
            return 1000 * next(one["value"] for one in details["metrics"] if one["name"] == "TaskDuration")

        return page, spent

    return opened


@pytest.mark.parametrize("each", [1, 50], ids=["one-by-one", "fifty-in-a-burst"])
async def test_an_event_costs_a_page_under_a_millisecond(page_of, each):
    """Making, storing and sending 500 events, against the same page that says nothing: at most 1 ms each.

    Fifty in a row do not hold the page up for 50 ms, from where on a task counts as long
    (https://www.w3.org/TR/longtasks/).
    """
    page, spent = await page_of()

    start = await spent()
    took = await page.evaluate(SAYING, each)
    saying = await spent()
    await page.evaluate(SILENCE, each)
    silence = await spent()

    cost = ((saying - start) - (silence - saying)) / EVENTS
    print(
        f"\n{EVENTS} events, {each} in one go: {sum(took) / EVENTS:.3f} ms each inside the call, "
        f"{cost:.3f} ms each in all, a go {median(took):.1f} ms, at most {max(took):.1f}"
    )
    assert cost <= 1
    assert median(took) <= 50


async def test_a_page_gone_mad_still_draws(page_of):
    """10,000 events a second for five seconds: a bounded queue, twenty frames a second at the least."""
    page, _ = await page_of()

    flood = await page.evaluate(FLOOD, [5000, 10])
    frames = flood["frames"]

    slow = frames[int(len(frames) * 0.95)]
    print(
        f"\n{flood['made']} events in 5 s: {flood['most']} kept at most, a frame {median(frames):.0f} ms, "
        f"95 % within {slow:.0f} ms, the slowest {frames[-1]:.0f} ms"
    )
    assert flood["made"] > 40_000
    assert flood["most"] == 1000
    assert median(frames) <= 50
