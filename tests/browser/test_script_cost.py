"""What the browser script costs a page: its thread's time, by Chromium's own counters."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENTS = 500
SAY = f"""(async () => {{
    const line = {{ product_id: 'sku-1', quantity: 1, price: {{ amount: 1299, currency: 'EUR' }} }}
    let inside = 0
    for (let n = 0; n < {EVENTS}; n++) {{
        const before = performance.now()
        n % 5 ? cartmesh.view({{ product_id: 'sku-' + n, category: 'tea', brand: 'Acme', price: line.price }})
              : cartmesh.cart([line, line, line])
        inside += performance.now() - before
        await new Promise(done => setTimeout(done, 10))
    }}
    while (cartmesh.waiting) await new Promise(done => setTimeout(done, 10))
    return inside
}})()"""

SILENCE = f"(async () => {{ for (let n = 0; n < {EVENTS}; n++) await new Promise(done => setTimeout(done, 10)) }})()"


async def _spent(counters) -> float:
    """Milliseconds of CPU that the page's thread has used."""
    told = await counters.send("Performance.getMetrics")
    return 1000 * next(one["value"] for one in told["metrics"] if one["name"] == "TaskDuration")


@pytest.mark.drill
async def test_an_event_costs_a_page_under_a_millisecond(shop, visit):
    """Making, storing and sending 500 events, against the same page that says nothing: at most 1 ms each."""
    page = await visit()
    counters = await page.context.new_cdp_session(page)
    await counters.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.goto(shop.url())
    await page.evaluate(SAY)

    start = await _spent(counters)
    inside = await page.evaluate(SAY)
    saying = await _spent(counters)
    await page.evaluate(SILENCE)
    silence = await _spent(counters)

    spent = (saying - start) - (silence - saying)
    print(f"\n{EVENTS} events: {inside / EVENTS:.3f} ms each inside the call, {spent / EVENTS:.3f} ms each in all")
    assert spent / EVENTS <= 1
