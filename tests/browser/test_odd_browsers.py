"""Browsers that lack what others have, keep pages for later, or prepare them early."""

import shutil
from functools import partial

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh.events.interaction import ProductViewed
from mesh.events.offer import Card, OfferSent

pytestmark = pytest.mark.asyncio(loop_scope="session")
one_loop = partial(pytest_asyncio.fixture, loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
LONG = "{ length: 45 }, (_, n) => cartmesh.search('緑茶'.repeat(250) + n)"
COUNT = """const send = navigator.sendBeacon; Navigator.prototype.sendBeacon = function (...sent) {
    localStorage.beacons = 1 + +(localStorage.beacons || 0)
    return send.apply(this, sent)
}"""


@pytest.fixture
def arrived(shop, eventually):
    """Wait until each of these events is stored, and that once."""

    async def wait(made):
        async def all_there():
            return await shop.stored() == dict.fromkeys(made, 1)

        assert await eventually(all_there)

    return wait


@pytest.mark.parametrize(
    "without",
    [
        "delete Request.prototype.keepalive",
        "delete Request.prototype.keepalive; delete Navigator.prototype.sendBeacon",
        "delete AbortSignal.timeout",
        "delete Crypto.prototype.randomUUID; delete Navigator.prototype.locks; delete Navigator.prototype.clipboard",
        "delete Navigator.prototype.onLine",
    ],
    ids=["keepalive", "keepalive-nor-beacon", "timeout", "secure-things", "online"],
)
async def test_what_a_browser_lacks_is_done_otherwise(shop, visit, settled, without):
    """Said while the page is open, and said in its last moment: all stored once, by this page or by the next."""
    page = await visit()
    await page.add_init_script(without)
    await page.goto(shop.url())

    made = [await page.evaluate("cartmesh.view('open')")]
    await page.wait_for_function("!cartmesh.waiting")
    made += await page.evaluate("[cartmesh.view('last'), cartmesh.search('moment')]")
    await settled(page)

    assert await shop.stored() == dict.fromkeys(made, 1)


async def test_where_keepalive_is_unknown_a_closing_page_uses_a_beacon(shop, visit, arrived, settled):
    """`sendBeacon` reports no outcome: the events arrive at once, and are confirmed by the next page."""
    page = await visit()
    await page.add_init_script("delete Request.prototype.keepalive; " + COUNT)
    await page.goto(shop.url())

    made = await page.evaluate("[cartmesh.view('sku-1'), cartmesh.view('sku-2')]")
    await page.goto("about:blank")
    await arrived(made)
    await settled(page)

    assert await page.evaluate("localStorage.beacons") == "1"
    assert await shop.stored() == dict.fromkeys(made, 1)


async def test_what_a_closing_page_may_not_send_the_next_one_does(shop, visit, settled):
    """Browsers refuse more than 64 KiB from pages that close: the rest is kept, in order, and lost by nobody."""
    page = await visit()
    await page.goto(shop.url())

    made = await page.evaluate(f"Array.from({LONG})")
    await page.goto(shop.url("/nothing.txt"))
    await settled(page)

    assert await shop.stored() == dict.fromkeys(made, 1)


async def test_an_origin_that_is_not_secure_lacks_nothing(shop, visit, sent):
    """On http there is no randomUUID, no clipboard, no lock: a shop there sends its events like any other."""
    page = await visit()
    await page.goto(shop.url(host="shop.test"))
    secure = await page.evaluate("[isSecureContext, !!crypto.randomUUID, !!navigator.clipboard, !!navigator.locks]")

    made = [await page.evaluate("cartmesh.view('sku-1')")]
    await sent(page)
    await page.goto(shop.url("/next", host="shop.test"))
    made.append(await page.evaluate("cartmesh.view('sku-2')"))
    await sent(page)

    assert secure == [False, False, False, False]
    assert await shop.stored() == dict.fromkeys(made, 1)
    assert len({viewed.event.visitor_id for viewed in await shop.events_of(ProductViewed)}) == 1


@pytest.mark.parametrize("how", ["module", "late"])
async def test_however_the_script_comes_it_finds_its_tag(shop, visit, sent, how):
    """As a module, or put into the page by another script: its settings are those of its own tag."""
    page = await visit()
    source = shop.at("us") + "/v1/cartmesh.js"
    shop.tags = {
        "module": f'<script type="module" src="{source}" data-key="demo"></script>',
        "late": "<script>{ const tag = document.createElement('script'); tag.dataset.key = 'demo'; "
        f"tag.src = '{source}'; document.head.append(tag) }}</script>",
    }[how]
    await page.goto(shop.url())
    await page.wait_for_function("cartmesh.version")

    made = await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)

    assert await shop.stored() == {made: 1}


async def test_a_prepared_page_says_nothing_until_it_is_shown(shop, visit, sent):
    """Prerendered and never visited: no view, no trace. Visited: the view, once."""
    page = await visit()
    shop.tags = shop.tag(views="/products/:product_id")
    await page.add_init_script(
        "window.early = true; Object.defineProperty(Document.prototype, 'prerendering', { get: () => early })"
    )
    await page.goto(shop.url("/products/sku-1"))
    await page.evaluate("cartmesh.search('tea'), cartmesh.flush()")
    before = await page.evaluate("[cartmesh.waiting, cartmesh.visitor, Object.keys(localStorage)]")

    await page.evaluate("early = false; document.dispatchEvent(new Event('prerenderingchange'))")
    await page.wait_for_function("cartmesh.visitor")
    await sent(page)

    assert before == [0, None, []]
    assert [viewed.event.product_id for viewed in await shop.events_of(ProductViewed)] == ["sku-1"]
    assert len(await shop.stored()) == 2


@one_loop()
async def keeping(chromium):
    """A browser that keeps pages for the way back, which automation switches off otherwise."""
    kind = chromium.browser_type
    kept = await kind.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        yield await kept.new_page()
    finally:
        await kept.close()


async def test_a_page_that_comes_back_from_the_cache_goes_on(shop, keeping, sent, arrived):
    """Back and forward: the same page as before, which has lost nothing, still sends events and receives offers."""
    page = keeping
    await page.goto(shop.url())
    made = [await page.evaluate(f"window.mark = 'same page'; cartmesh.cart({LINES})")]
    await sent(page)
    made.append(await page.evaluate("cartmesh.view('last')"))
    await page.goto(shop.url("/next"))
    made.append(await page.evaluate("cartmesh.view('next')"))

    await page.go_back(wait_until="commit")
    if await page.evaluate("window.mark") != "same page":
        pytest.skip("a browser that is short of memory keeps no pages")
    made.append(await page.evaluate("cartmesh.view('back')"))
    await sent(page)
    visitor_id = await page.evaluate("cartmesh.visitor")
    card = Card(title="Your cart is waiting", body="Come back", action="Back", url="/cart")
    offer = OfferSent(cart_id="c1", visitor_id=visitor_id, offer_id="offer-1", channel="onsite", card=card)
    await shop.meshes["us"].publish(offer)

    await expect(page.get_by_role("dialog")).to_have_count(1)
    await arrived(made)
