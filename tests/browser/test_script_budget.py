"""What the script costs a shopper's line: requests and bytes, counted by Chromium, and what bounds a page gone mad."""

import re

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"


@pytest.fixture
def count(shop):
    """Count a page's requests to the gateways, preflights among them: [method and path, status, bytes received]."""

    async def counting(page):
        seen, line = {}, await page.context.new_cdp_session(page)

        def asked(details):
            request = details["request"]
            if any(request["url"].startswith(shop.at(region)) for region in shop.lines):
                path = "/" + request["url"].split("/", 3)[3]
                seen[details["requestId"]] = [request["method"] + " " + path.split("?")[0], 0]

        def received(details):
            one, answer = seen.get(details["requestId"]), details.get("response", details)
            if one:
                one[1] = max(one[1], answer["encodedDataLength"])
            if answer.get("fromDiskCache"):
                cached(details)

        def cached(details):
            seen.pop(details["requestId"], None)

        line.on("Network.requestWillBeSent", asked)
        line.on("Network.requestServedFromCache", cached)
        line.on("Network.responseReceived", received)
        line.on("Network.loadingFinished", received)
        await line.send("Network.enable")
        return seen

    return counting


async def test_the_first_event_takes_three_small_requests_and_the_next_page_one(shop, visit, sent, count):
    """The script, the server's clock, the event, no preflight; then the script is cached and the clock is known."""
    page = await visit()
    seen = await count(page)
    shop.tags = await (await page.context.request.get(shop.at("us") + "/v1/tag?key=demo")).text()
    script = re.search(r"/v1/lib/\w+/cartmesh.js", shop.tags)[0]
    taken, received = [], []
    for path in ("/", "/next"):
        await page.goto(shop.url(path))
        await page.wait_for_function("cartmesh.version")
        await page.evaluate("cartmesh.view('sku-1')")
        await sent(page)
        taken.append([asked for asked, _ in seen.values()])
        received.append(sum(size for _, size in seen.values()))
        seen.clear()

    assert taken == [[f"GET {script}", "GET /v1/updates", "POST /v1/updates"], ["POST /v1/updates"]]
    assert received[0] <= 8_800
    assert received[1] <= 1_000


async def test_a_filled_cart_adds_one_request_that_stays_open(shop, visit, sent, count):
    """With a home among several regions: the script from the shop, one question to home, the events, the offers."""
    page = await visit()
    seen = await count(page)
    shop.tags = shop.tag("us", "eu")
    await page.goto(shop.url())

    async with page.expect_response(lambda answer: "/v1/cards/" in answer.url):
        await page.evaluate(f"[cartmesh.view('sku-1'), cartmesh.cart({LINES}), cartmesh.checkout()]")
    await sent(page)

    asked = [re.sub(r"cards/.*", "cards", asked) for asked, _ in seen.values()]
    assert sorted(asked) == ["GET /v1/cards", "GET /v1/updates", "POST /v1/updates"]


async def test_requests_past_the_scripts_budget_are_answered_with_a_wait(open_shop, visit, sent, console_of):
    """10,000 events at once by plain requests: what is over the allowance gets 429, and the script waits its turn."""
    async with open_shop("us", address_rate="500", store_patience="10s") as shop:
        page = await visit()
        console = console_of(page)
        await page.goto(shop.url())

        statuses = await page.evaluate(
            """async url => {
                const fields = { type: 'product_viewed', time: new Date(), visitor_id: 'v', product_id: 'p' }
                const burst = turn => {
                    const events = Array.from({ length: 500 }, (_, n) => ({ id: `loud-${turn}-${n}`, ...fields }))
                    return fetch(url, { method: 'POST', body: JSON.stringify({ events }) })
                }
                const answers = await Promise.all(Array.from({ length: 20 }, (_, turn) => burst(turn)))
                return answers.map(answer => [answer.status, +answer.headers.get('retry-after')])
            }""",
            shop.at("us") + "/v1/updates?key=demo",
        )
        made = await page.evaluate(f"[cartmesh.view('sku-1'), cartmesh.cart({LINES})]")
        await sent(page)

        stored = await shop.stored()
        refused = [wait for status, wait in statuses if status == 429]
        assert len(stored) == 500 * (20 - len(refused)) + len(made)
        assert len(refused) >= 5
        assert min(refused) >= 1
        assert {id_: stored[id_] for id_ in made} == dict.fromkeys(made, 1)
        assert console == []
