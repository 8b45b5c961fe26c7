"""Who a visitor is to the browser script: from page to page, from tab to tab, and after a crash."""

import hmac
from datetime import UTC, datetime, timedelta

import pytest

from mesh.events.cart import CartUpdated
from mesh.events.interaction import CheckoutStarted, ProductViewed
from mesh.events.order import OrderPlaced

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
LATER = "window.later = 0; const now = Date.now; Date.now = () => now() + later"


async def test_half_an_hour_of_silence_ends_a_session(shop, visit, sent):
    """The visitor stays, the session is another; on the next page and in another tab both go on."""
    page = await visit()
    shop.tags = shop.tag("us", "eu")
    await page.add_init_script(LATER)
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('a')")
    await sent(page)
    await page.goto(shop.url("/next"))
    await page.evaluate("later = 29 * 60e3; cartmesh.view('b')")
    await sent(page)
    other = await page.context.new_page()
    await other.goto(shop.url())
    await other.evaluate("cartmesh.view('c')")
    await sent(other)

    await page.evaluate("later = 60 * 60e3; cartmesh.view('d')")
    await sent(page)

    events = {viewed.event.product_id: viewed.event for viewed in await shop.events_of(ProductViewed)}
    assert len({event.visitor_id for event in events.values()}) == 1
    assert events["a"].session_id == events["b"].session_id == events["c"].session_id != events["d"].session_id


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_clock_that_is_set_between_visits_is_asked_for_again(shop, visit, sent, hours):
    """What was known of a device's clock ends with the session: the first event afterwards has the server's time."""
    page = await visit()
    await page.add_init_script(LATER)
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('a')")
    await sent(page)

    await page.goto(shop.url("/next"))
    await page.evaluate(f"later = {hours} * 3.6e6; cartmesh.view('b')")
    await sent(page)

    times = [viewed.time for viewed in await shop.events_of(ProductViewed)]
    assert [abs(time - datetime.now(UTC)) < timedelta(minutes=1) for time in times] == [True, True]


async def test_a_clock_that_stays_wrong_is_remembered(shop, visit, sent, eventually):
    """A later visit that ends at once has no time to ask: what the last one learned of the clock is used."""
    page = await visit()
    await page.add_init_script("window.later = 7.2e6; const now = Date.now; Date.now = () => now() + later")
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('a')")
    await sent(page)
    # An hour passes. The next page says so, before its script runs: what one page writes as it ends may reach it late.
    await page.add_init_script(
        """(() => {
            if (location.pathname !== '/next') return
            const known = JSON.parse(localStorage['cartmesh:demo'])
            localStorage['cartmesh:demo'] = JSON.stringify({ ...known, t: known.t - 3.6e6 })
        })()"""
    )

    await page.goto(shop.url("/next"))
    await page.evaluate("cartmesh.view('b')")
    await page.goto("about:blank")

    async def both():
        return len(await shop.events_of(ProductViewed)) == 2

    assert await eventually(both)
    first, second = await shop.events_of(ProductViewed)
    assert first.event.session_id != second.event.session_id
    assert abs(second.time - datetime.now(UTC)) < timedelta(minutes=1)


async def test_who_signs_out_is_somebody_else(shop, visit, sent):
    """After `identify` each event names the customer; after `forget` neither customer, visitor nor cart is known."""
    page = await visit()
    await page.goto(shop.url())
    who = {
        "email": "ada@example.com",
        "customer_id": "ada",
        "customer_signature": hmac.new(b"secret", b"ada", "sha256").hexdigest(),
    }

    await page.evaluate("who => cartmesh.identify(who)", who)
    await page.evaluate(f"[cartmesh.view('a'), cartmesh.cart({LINES})]")
    before = await page.evaluate("cartmesh.visitor")
    await page.evaluate("cartmesh.forget()")
    await page.evaluate(f"[cartmesh.view('b'), cartmesh.cart({LINES})]")
    await sent(page)

    (own, others), (first, second) = await shop.events_of(ProductViewed), await shop.events_of(CartUpdated)
    assert (own.event.customer_id, own.event.visitor_id) == ("ada", before)
    assert (others.event.customer_id, others.event.visitor_id == before) == (None, False)
    assert first.event.cart_id != second.event.cart_id


async def test_a_cart_is_one_until_it_is_bought(shop, visit, sent):
    """Updates, the way to the till and the order share the cart; what is filled afterwards is a new one."""
    page = await visit()
    await page.goto(shop.url())
    await page.evaluate(f"[cartmesh.cart({LINES}), cartmesh.cart({{lines: {LINES}, device: 'kiosk'}})]")
    await page.goto(shop.url("/till"))
    await page.evaluate("cartmesh.checkout()")
    await page.evaluate(f"cartmesh.order({{order_id: 'o1', lines: {LINES}, total: {{amount: 1299, currency: 'EUR'}}}})")
    await page.evaluate(f"[cartmesh.cart({LINES}), cartmesh.cart({{lines: {LINES}, cart_id: 'of-the-shop'}})]")
    await sent(page)

    carts = [updated.event.cart_id for updated in await shop.events_of(CartUpdated)]
    (till,), (order,) = await shop.events_of(CheckoutStarted), await shop.events_of(OrderPlaced)
    assert carts[0] == carts[1] == till.event.cart_id == order.event.cart_id
    assert carts[2] not in {carts[0], "of-the-shop"}
    assert carts[3:] == ["of-the-shop"]


async def test_consent_once_given_holds_on_the_next_page(shop, visit, sent):
    """What waits for it is bounded; given once, later pages say things at once."""
    page = await visit()
    shop.tags = shop.tag(consent="required")
    await page.goto(shop.url())
    await page.evaluate("for (let n = 0; n < 150; n++) cartmesh.view('sku-' + n)")
    await page.evaluate("cartmesh.consent(true)")
    await sent(page)
    asked = await shop.events_of(ProductViewed)
    await page.goto(shop.url("/next"))

    made = await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)

    assert len(asked) == 100
    assert (await shop.stored())[made] == 1


async def test_do_not_track_counts_where_the_tag_says_so(shop, visit):
    """The older of the two signals is a refusal as well."""
    page = await visit()
    shop.tags = shop.tag(respect="signals")
    await page.add_init_script("Object.defineProperty(Navigator.prototype, 'doNotTrack', { get: () => '1' })")

    await page.goto(shop.url())

    assert await page.evaluate("[cartmesh.view('sku-1'), cartmesh.waiting, localStorage.length]") == [None, 0, 0]


async def test_what_a_crashed_page_had_to_say_is_said_a_minute_later(shop, visit, settled):
    """A page that may still be alive keeps its own; one that was silent for a minute is sent for by another."""
    page = await visit()
    await page.goto(shop.url())
    # As a crash leaves it: nothing more of it is sent, and the last word was never said.
    made = await page.evaluate(
        """(() => {
            const made = [cartmesh.view('sku-1'), cartmesh.view('sku-2')]
            const kept = Object.entries(localStorage).find(([name]) => name.split(':').length > 2)
            cartmesh.consent(false)
            localStorage.setItem(...kept)
            return made
        })()"""
    )

    await page.goto(shop.url("/soon"))
    # The browser may have given the next page another process, which sees what the first one stored a moment later.
    await page.wait_for_function("localStorage.length === 1")
    early = await page.evaluate("cartmesh.waiting")
    await page.add_init_script(LATER.replace("later = 0", "later = 61e3"))
    await settled(page)

    assert early == 0
    assert await shop.stored() == dict.fromkeys(made, 1)


@pytest.mark.parametrize("found", ["{", "7", "null", '"words"', "[]", '{"t": 0, "q": 7}', '{"t": 0, "q": [null, {}]}'])
async def test_what_others_left_in_storage_breaks_nothing(shop, visit, sent, found):
    """Cut off, of another version or of nobody: cleared away, and the page says what it has to say."""
    page = await visit()
    await page.add_init_script(
        f"for (const name of ['cartmesh:demo', 'cartmesh:demo:1']) localStorage[name] = {found!r}"
    )
    await page.goto(shop.url())

    made = await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)

    assert await page.evaluate("[localStorage['cartmesh:demo:1'] === undefined, !!cartmesh.visitor]") == [True, True]
    assert await shop.stored() == {made: 1}


async def test_a_page_may_say_itself_what_a_view_is(shop, visit, sent):
    """`follow` with a function: asked at every address, silent where it has no answer, harmless where it throws."""
    page = await visit()
    await page.goto(shop.url("/t/tea"))
    await page.evaluate(
        """cartmesh.follow(at => {
            if (at.hash === '#bad') throw Error('bad')
            return at.pathname.startsWith('/t/') && { product_id: at.pathname.slice(3), category: 'tea' }
        })"""
    )
    for path in ("#bad", "/", "/t/mug"):
        move = "path => new Promise(done => { history.replaceState({}, '', path); setTimeout(done) })"
        await page.evaluate(move, path)
    await sent(page)

    viewed = [viewed.event for viewed in await shop.events_of(ProductViewed)]
    assert [(event.product_id, event.category) for event in viewed] == [("tea", "tea"), ("mug", "tea")]
