"""Which region a page talks to, and what becomes of its live offers when that changes."""

import pytest
from playwright.async_api import expect

from mesh.events.interaction import ProductViewed
from mesh.events.offer import Card, OfferSent

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
OPEN = {"access-control-allow-origin": "*", "access-control-expose-headers": "Retry-After"}


@pytest.fixture
def offer(shop):
    """Send a visitor an offer in a region."""

    async def send(page, region):
        visitor_id = await page.evaluate("cartmesh.visitor")
        card = Card(title="Your cart is waiting", body="Come back", action="Back", url="/cart")
        sent = OfferSent(cart_id="c1", visitor_id=visitor_id, offer_id="offer-1", channel="onsite", card=card)
        await shop.meshes[region].publish(sent)

    return send


async def test_home_is_who_answers_first_and_stays(shop, visit, sent):
    """`auto`: found once, by asking all, named or not; kept on later pages, also when the others answer again."""
    page = await visit()
    regions = f"{shop.at('us')}/, {shop.at('eu')}"
    shop.tags = f'<script src="/cartmesh.js" data-key="demo" data-region="auto" data-regions="{regions}"></script>'
    shop.lines["us"].cut()
    await page.goto(shop.url())
    made = [await page.evaluate("cartmesh.view('sku-1')")]
    await sent(page)
    shop.lines["us"].heal()
    await page.goto(shop.url("/next"))
    made.append(await page.evaluate("cartmesh.view('sku-2')"))
    await sent(page)

    assert await page.evaluate("cartmesh.region") == shop.at("eu")
    assert [viewed.id.partition("-")[2] for viewed in await shop.events_of(ProductViewed, "eu")] == made


async def test_while_no_region_answers_everything_waits(shop, visit, sent):
    """All lines cut, also at the first visit: kept, and sent to the first that is there again."""
    page = await visit()
    shop.tags = shop.tag("us", "eu", region="auto")
    for line in shop.lines.values():
        line.cut()
    await page.goto(shop.url())
    async with page.expect_event("requestfailed"):
        made = await page.evaluate(f"[cartmesh.view('sku-1'), cartmesh.cart({LINES})]")

    shop.lines["eu"].heal()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await sent(page)

    assert await shop.stored() == dict.fromkeys(made, 1)


async def test_a_region_that_cannot_store_is_left_after_three_tries(shop, visit, sent, eventually):
    """503 three times from one that answered before: later events go to the next, the first waits for its own."""
    page, refused = await visit(), []
    await page.add_init_script(
        "Math.random = () => 0; window.later = 0; const now = Date.now; Date.now = () => now() + later"
    )
    shop.tags = shop.tag("us", "eu")
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('before')")
    await sent(page)

    async def refuse(route):
        refused.append(route.request.method)
        await route.fulfill(status=503, headers={**OPEN, "retry-after": "0.01"})

    await page.route(shop.at("us") + "/v1/updates*", refuse)
    first = await page.evaluate("cartmesh.view('first')")
    await eventually(lambda: refused.count("POST") == 3)
    made = await page.evaluate("cartmesh.view('next')")
    await page.wait_for_function("cartmesh.waiting === 1")
    there = [viewed.id.partition("-")[2] for viewed in await shop.events_of(ProductViewed, "eu")]
    await page.unroute(shop.at("us") + "/v1/updates*")
    await page.evaluate("later = 4000, cartmesh.flush()")
    await sent(page)

    assert there == [made]
    assert refused.count("POST") == 3
    assert (await shop.stored())[first] == 1


async def test_live_offers_move_with_the_visitor(shop, visit, sent, offer):
    """The region whose stream a page reads is lost: the next one's is opened, and its offer appears."""
    page = await visit()
    shop.tags = shop.tag("us", "eu")
    await page.goto(shop.url())
    await page.evaluate(f"cartmesh.cart({LINES})")
    await sent(page)

    async with page.expect_request(lambda asked: asked.url.startswith(shop.at("eu") + "/v1/cards/")):
        shop.lines["us"].cut()
    await offer(page, "eu")

    await expect(page.get_by_role("dialog")).to_have_count(1)


async def test_a_refused_stream_is_asked_for_again(shop, visit, sent, offer):
    """Too many pages were open (429), which ends a stream for good: a while later another one is opened."""
    page = await visit()
    await page.add_init_script(
        "const wait = setTimeout; window.setTimeout = (work, time, ...more) => wait(work, time / 50, ...more)"
    )
    await page.route("**/v1/cards/**", lambda route: route.fulfill(status=429, headers=OPEN), times=1)
    await page.goto(shop.url())
    await page.evaluate(f"cartmesh.cart({LINES})")
    await sent(page)

    await offer(page, "us")

    await expect(page.get_by_role("dialog")).to_have_count(1)
