"""Failures one by one: where each event is kept, and where it is sent."""

from time import monotonic

import pytest

from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
LATER = "window.later = 0; const now = Date.now; Date.now = () => now() + later"


async def test_offline_events_are_kept_in_order_beyond_the_page(shop, visit, settled):
    """Called offline, closed offline: the visitor's next page sends all of it, in the order it happened."""
    page = await visit()
    await page.goto(shop.url())
    await page.context.set_offline(True)
    made = [await page.evaluate(f"cartmesh.view('sku-{n}')") for n in range(5)]
    await page.close()
    await page.context.set_offline(False)

    page = await page.context.new_page()
    await page.goto(shop.url())
    made.append(await page.evaluate("cartmesh.view('sku-5')"))
    await settled(page)

    viewed = sorted(await shop.events_of(ProductViewed), key=lambda received: received.time)
    assert [received.id.partition("-")[2] for received in viewed] == made


async def test_busy_gateways_are_given_the_time_they_ask_for(shop, visit, sent):
    """429 with Retry-After: the same events again, not before that, once."""
    page, sendings = await visit(), []
    page.on("request", lambda asked: asked.method == "POST" and sendings.append((monotonic(), asked.post_data)))
    wait = {"retry-after": "1", "access-control-allow-origin": "*", "access-control-expose-headers": "Retry-After"}
    await page.route("**/v1/updates?key=demo", lambda route: route.fulfill(status=429, headers=wait), times=1)
    await page.goto(shop.url())

    made = await page.evaluate("[cartmesh.view('sku-1'), cartmesh.view('sku-2')]")
    await sent(page)

    assert await shop.stored() == dict.fromkeys(made, 1)
    (refused, first), (taken, second) = sendings[:2]
    assert first == second
    assert taken - refused >= 1


async def test_while_jetstream_is_down_events_wait(open_shop, visit, sent):
    """503: nothing is lost while the only region cannot store, and it is stored once when it can."""
    async with open_shop("us") as shop:
        page = await visit()
        await page.goto(shop.url())
        await page.evaluate("cartmesh.view('sku-0')")
        await sent(page)
        shop.regions.stop("us")
        async with page.expect_response(lambda response: response.status == 503):
            made = await page.evaluate(f"[cartmesh.view('sku-1'), cartmesh.cart({LINES})]")
        shop.regions.start("us")
        await sent(page)

        assert {id_: (await shop.stored())[id_] for id_ in made} == dict.fromkeys(made, 1)


async def test_another_region_takes_over_and_home_comes_back(shop, visit, sent):
    """Home does not answer: the next region stores, and the visitor stays there; a minute later home is tried."""
    page = await visit()
    shop.tags = shop.tag("us", "eu")
    await page.add_init_script(LATER)
    shop.lines["us"].cut()
    await page.goto(shop.url())
    first = await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)
    shop.lines["us"].heal()
    await page.goto(shop.url())
    second = await page.evaluate("cartmesh.view('sku-2')")
    await sent(page)

    await page.evaluate("later = 61000")
    third = await page.evaluate("cartmesh.view('sku-3')")
    await sent(page)

    stored = {
        region: [viewed.id.partition("-")[2] for viewed in await shop.events_of(ProductViewed, region)]
        for region in ("us", "eu")
    }
    assert stored == {"us": [third], "eu": [first, second]}


async def test_what_a_lost_region_may_have_stored_is_not_sent_to_another(shop, visit, sent, eventually):
    """Stored, but the answer was lost with the region: later events go elsewhere, this one waits for its own."""
    page = await visit()
    await page.add_init_script(LATER)
    shop.tags = shop.tag("us", "eu")
    await page.goto(shop.url())

    async def lose_answer(route):
        await route.fetch()
        shop.lines["us"].cut()
        await route.abort()

    await page.route(shop.at("us") + "/v1/updates?key=demo", lose_answer, times=1)
    doubtful = await page.evaluate("cartmesh.view('sku-1')")
    await eventually(lambda: not shop.lines["us"].whole)
    after = []
    for said in (f"cartmesh.cart({LINES})", "cartmesh.view('sku-2')"):
        # Its own region is asked again each time, in vain; what is sent elsewhere is all but the one.
        async with page.expect_event("requestfailed", lambda asked: asked.url == shop.at("us") + "/v1/updates"):
            after.append(await page.evaluate(said))
            await page.evaluate("later += 4000, cartmesh.flush()")
        await page.wait_for_function("cartmesh.waiting === 1")

    elsewhere = [*await shop.events_of(CartUpdated, "eu"), *await shop.events_of(ProductViewed, "eu")]
    assert [received.id.partition("-")[2] for received in elsewhere] == after

    shop.lines["us"].heal()
    await page.evaluate("later += 4000, cartmesh.flush()")
    await sent(page)

    assert await shop.stored() == dict.fromkeys([doubtful, *after], 1)
    assert [viewed.id.partition("-")[2] for viewed in await shop.events_of(ProductViewed, "us")] == [doubtful]


async def test_a_region_that_stays_lost_is_waited_for_five_minutes(shop, visit, sent):
    """Then the event is sent to another: better stored twice in the worst case than not at all."""
    page = await visit()
    shop.tags = shop.tag("us", "eu")
    await page.add_init_script(LATER)
    await page.goto(shop.url())

    async def lose_request(route):
        shop.lines["us"].cut()
        await route.abort()

    await page.route(shop.at("us") + "/v1/updates?key=demo", lose_request, times=1)
    async with page.expect_event("requestfailed", lambda asked: asked.method == "POST"):
        lost = await page.evaluate("cartmesh.view('sku-1')")
    await page.evaluate("later = 301000")
    await page.evaluate("cartmesh.flush()")
    await sent(page)

    assert [viewed.id.partition("-")[2] for viewed in await shop.events_of(ProductViewed, "eu")] == [lost]


async def test_a_page_that_sends_too_much_keeps_its_carts(shop, visit, sent, console_of):
    """10,000 events at once: a bounded queue that drops the oldest views, counts them and warns once."""
    page, sizes = await visit(), []
    console = console_of(page)
    page.on("request", lambda asked: asked.method == "POST" and sizes.append(len(asked.post_data)))
    await page.goto(shop.url())

    carts, most = await page.evaluate(
        f"""(async () => {{
            const carts = []
            let most = 0
            for (let turn = 0; turn < 100; turn++) {{
                for (let n = 0; n < 99; n++) cartmesh.view('sku-' + n)
                carts.push(cartmesh.cart({LINES}))
                most = Math.max(most, cartmesh.waiting)
                if (turn % 20 === 19) await new Promise(done => setTimeout(done))
            }}
            return [carts, most]
        }})()"""
    )
    await sent(page)
    dropped, stored = await page.evaluate("cartmesh.dropped"), await shop.stored()

    assert (most, console) == (1000, ["over"])
    assert dropped + len(stored) == 10_000
    assert set(stored.values()) == {1}
    assert {id_: stored[id_] for id_ in carts} == dict.fromkeys(carts, 1)
    assert max(sizes) < 20_000
