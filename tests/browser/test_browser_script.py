"""What the browser script promises a shop's page."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductSearched, ProductViewed
from mesh.events.offer import OfferClicked
from mesh.events.recommendation import RecommendationClicked, RecommendationShown

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
TOTAL = "{amount: 1299, currency: 'EUR'}"
OPEN = {"access-control-allow-origin": "*"}
KEYS = "Object.keys(localStorage)"


async def test_what_a_page_says_is_stored_once(shop, visit, sent):
    """Every call makes one event, with the visitor, the session and the shopper's clock."""
    page = await visit(timezone_id="Asia/Tokyo")
    await page.goto(shop.url())

    made = await page.evaluate(
        f"""[cartmesh.view({{product_id: 'sku-1', brand: 'Acme'}}), cartmesh.search('tea'), cartmesh.cart({LINES}),
             cartmesh.checkout(), cartmesh.identify({{email: 'ada@example.com', customer_id: 'ada'}}),
             cartmesh.consent('email', true),
             cartmesh.order({{order_id: 'o1', lines: {LINES}, total: {{amount: 1299, currency: 'EUR'}}}})]"""
    )
    await sent(page)

    assert await shop.stored() == dict.fromkeys(made, 1)
    (viewed,), (updated,) = await shop.events_of(ProductViewed), await shop.events_of(CartUpdated)
    assert (viewed.event.brand, viewed.event.utc_offset) == ("Acme", 540)
    assert viewed.event.visitor_id == updated.event.visitor_id == await page.evaluate("cartmesh.visitor")
    assert viewed.event.session_id == updated.event.session_id is not None


async def test_what_was_recommended_and_what_was_clicked_belong_together(shop, visit, sent):
    """The list as it was shown, and the click with its place in it; without the model's name where there is none."""
    page = await visit()
    await page.goto(shop.url())

    await page.evaluate(
        """[cartmesh.shown({list_id: 'l1', place: 'cart', product_ids: ['sku-1', 'sku-2'], model_version: 'v7'}),
            cartmesh.clicked({list_id: 'l1', place: 'cart', product_id: 'sku-2', position: 2}),
            cartmesh.shown({list_id: 'l2', place: 'home', product_ids: ['sku-3'], first: 5})]"""
    )
    await sent(page)

    chosen, plain = [one.event for one in await shop.events_of(RecommendationShown)]
    (clicked,) = [one.event for one in await shop.events_of(RecommendationClicked)]
    assert (chosen.product_ids, chosen.first, chosen.model_version) == (("sku-1", "sku-2"), 1, "v7")
    assert (plain.product_ids, plain.first, plain.model_version) == (("sku-3",), 5, None)
    assert (clicked.list_id, clicked.product_id, clicked.position) == (chosen.list_id, "sku-2", 2)


@pytest.mark.parametrize(
    ("link", "product"), [("/cart/c7?offer=o7&cartmesh=email.o7.c7", None), ("/p5?cartmesh=email.o7.c7.2.p5&x=1", "p5")]
)
async def test_a_link_of_a_mail_counts_once_somebody_is_there(shop, visit, sent, link, product):
    """A program that opens the link counts for nobody; who moves is a click by mail, and a reload is no second one."""
    page = await visit()
    await page.goto(shop.url(link))
    await page.evaluate("cartmesh.view('opened')")
    await sent(page)
    opened = await shop.events_of(OfferClicked), await shop.events_of(RecommendationClicked)

    for _ in range(2):
        await page.mouse.move(40, 40)
        await page.mouse.move(60, 60)
        await page.keyboard.press("Tab")
        await page.evaluate("cartmesh.view('looked')")
        await sent(page)
        address = page.url
        await page.reload()

    (clicked,) = [one.event for one in await shop.events_of(OfferClicked)]
    products = [one.event for one in await shop.events_of(RecommendationClicked)]
    assert opened == ([], [])
    assert (clicked.offer_id, clicked.cart_id, clicked.channel) == ("o7", "c7", "email")
    assert clicked.visitor_id == await page.evaluate("cartmesh.visitor")
    assert [(one.list_id, one.place, one.product_id, one.position) for one in products] == (
        [("o7", "email", product, 2)] if product else []
    )
    assert "cartmesh" not in address


async def test_a_page_that_closes_at_once_loses_nothing(shop, visit, eventually):
    """What was said in the last moment arrives although nobody is there any more."""
    page = await visit()
    await page.goto(shop.url())

    made = await page.evaluate("[cartmesh.view('sku-1'), cartmesh.view('sku-2')]")
    await page.close()

    async def arrived():
        return await shop.stored() == dict.fromkeys(made, 1)

    assert await eventually(arrived)


async def test_what_was_said_before_the_script_came_is_not_lost(shop, visit, sent):
    """Calls wait in a plain list; where the script never comes, the list is all there is and nothing breaks."""
    page = await visit()
    shop.tags = "<script>cartmesh.push(['view', 'early'])</script>" + shop.tag()
    await page.goto(shop.url())
    await sent(page)
    shop.tags = f'<script src="{shop.at("us")}/nowhere/cartmesh.js" data-key="demo"></script>'
    await page.goto(shop.url())

    await page.evaluate("cartmesh.push(['view', 'blocked'])")

    assert [viewed.event.product_id for viewed in await shop.events_of(ProductViewed)] == ["early"]


async def test_loaded_twice_it_runs_once(shop, visit, sent):
    """A second tag does nothing: one visitor, one view."""
    page = await visit()
    shop.tags = 2 * shop.tag(views="/products/:product_id")
    await page.goto(shop.url("/products/sku-1"))
    await sent(page)

    assert len(await shop.events_of(ProductViewed)) == 1


async def test_navigation_within_the_page_is_a_view_where_the_tag_says_so(shop, visit, sent):
    """Addresses that match are views, once each, however the page came there."""
    page = await visit()
    shop.tags = shop.tag(views="/*/products/:product_id")
    await page.goto(shop.url("/de/products/a"))
    for path in ("/de/products/b", "/de/products/b?size=2", "/cart", "/de/products/c"):
        await page.evaluate("path => new Promise(done => { history.pushState({}, '', path); setTimeout(done) })", path)
    await page.evaluate("history.go(-2)")
    await page.wait_for_function("location.search === '?size=2'")
    await sent(page)

    assert sorted(viewed.event.product_id for viewed in await shop.events_of(ProductViewed)) == ["a", "b", "b", "c"]


async def test_nothing_is_stored_or_sent_before_consent(shop, visit, sent):
    """Where consent is required, a page leaves no trace until it is given; then it says what had happened."""
    page, asked = await visit(), []
    shop.tags = shop.tag("us", "eu", consent="required")
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('before')")
    await page.evaluate("cartmesh.flush()")
    await page.goto(shop.url("/next"))
    await page.evaluate("cartmesh.view('meanwhile')")

    assert (await page.evaluate(KEYS), [url for url in asked if "/v1/" in url]) == ([], [])

    await page.evaluate("cartmesh.consent(true)")
    await sent(page)

    assert [viewed.event.product_id for viewed in await shop.events_of(ProductViewed)] == ["meanwhile"]


async def test_a_visitor_who_refuses_everything_leaves_nothing(shop, visit, sent):
    """Refused: nothing stored in any tab, and nothing more is sent, whatever the page says."""
    page = await visit()
    await page.goto(shop.url())
    other = await page.context.new_page()
    await other.goto(shop.url())
    await page.evaluate("cartmesh.view('before')")
    await other.evaluate("cartmesh.view('before')")
    await sent(page)
    await sent(other)

    await page.evaluate("cartmesh.consent(false)")
    await other.wait_for_function("!cartmesh.visitor")
    said = [await one.evaluate("cartmesh.view('after')") for one in (page, other)]
    await page.evaluate("cartmesh.flush()")
    await page.close()

    assert said == [None, None]
    assert (await other.evaluate(KEYS), await page.context.cookies()) == ([], [])
    assert {viewed.event.product_id for viewed in await shop.events_of(ProductViewed)} == {"before"}


async def test_the_browsers_signals_count_where_the_tag_says_so(shop, visit, sent):
    """Global Privacy Control is a refusal, until the visitor says otherwise in so many words."""
    page = await visit()
    shop.tags = shop.tag(respect="signals")
    await page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })"
    )
    await page.goto(shop.url())

    refused = await page.evaluate("cartmesh.view('sku-1')")
    nothing = await page.evaluate(KEYS)
    await page.evaluate("cartmesh.consent(true)")
    allowed = await page.evaluate("cartmesh.view('sku-2')")
    await sent(page)

    assert (refused, nothing, await shop.stored()) == (None, [], {allowed: 1})


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } })",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
        """for (let hole = 2 ** 22; hole >= 1;) {
            try { localStorage.filled = (localStorage.filled || '') + 'x'.repeat(hole) } catch { hole /= 2 }
        }""",
    ],
    ids=["forbidden", "refused", "full"],
)
async def test_without_storage_everything_stays_in_memory(shop, visit, sent, eventually, broken):
    """Private mode or a full disk: the page says the same, and one visitor stays one as long as it is open."""
    page = await visit()
    await page.add_init_script(broken)
    await page.goto(shop.url())

    made = await page.evaluate(f"[cartmesh.view('sku-1'), cartmesh.cart({LINES}), cartmesh.checkout()]")
    await sent(page)
    made.append(await page.evaluate("cartmesh.view('sku-2')"))
    await page.goto(shop.url("/next"))

    async def arrived():
        return await shop.stored() == dict.fromkeys(made, 1)

    assert await eventually(arrived)
    assert len({viewed.event.visitor_id for viewed in await shop.events_of(ProductViewed)}) == 1


@pytest.mark.parametrize("names", [("us",), ("us", "eu")], ids=["one", "two"])
async def test_a_wrong_clock_is_put_right(shop, visit, sent, names):
    """A device two hours ahead sends the server's time from its first event on, and a cart stays in order."""
    page = await visit()
    shop.tags = shop.tag(*names)
    await page.add_init_script("const now = Date.now; Date.now = () => now() + 7.2e6")
    await page.goto(shop.url())

    await page.evaluate(f"[cartmesh.cart({LINES}), cartmesh.cart([])]")
    await sent(page)

    filled, emptied = await shop.events_of(CartUpdated)
    assert abs(filled.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert (len(filled.event.lines), len(emptied.event.lines), filled.time < emptied.time) == (1, 0, True)


async def test_nonsense_breaks_nothing(shop, visit, sent, eventually):
    """Each wrong call has one line in the console, which names the call; what is right arrives."""
    page, lines = await visit(), []
    page.on("console", lambda line: line.text.startswith("cartmesh:") and lines.append(line.text))
    await page.goto(shop.url())

    await page.evaluate(
        """[cartmesh.view(), cartmesh.view(null), cartmesh.view({product_id: 'a b'}), cartmesh.cart(7),
            cartmesh.order({total: 1n}), cartmesh.follow(), cartmesh.push(['nothing']), cartmesh.push(null)]
           const circle = {}; circle.self = circle; cartmesh.view({product_id: 'x', circle})"""
    )
    good = await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)

    assert await shop.stored() == {good: 1}
    said = (
        "view failed",
        "order failed",
        "follow failed",
        "push('nothing') failed",
        "push('undefined') failed",
        "rejected product_viewed: $.product_id: product_id 'a b' must be",
        "rejected cart_updated: $.lines: Expected `array`, got `int`",
    )
    await eventually(lambda: len(lines) == len(said), within=60)
    assert [words for words in said if not any(line.startswith(f"cartmesh: {words}") for line in lines)] == []


async def test_a_page_in_debug_says_each_wrong_call(shop, visit, sent, eventually):
    """Nine wrong calls are nine warnings, each with the call's or the event's name."""
    page, lines = await visit(), []
    page.on("console", lambda line: line.type == "warning" and lines.append(line.text.removeprefix("cartmesh: ")))
    shop.tags = shop.tag(debug="true")
    await page.goto(shop.url())

    await page.evaluate(
        """const circle = {}; circle.self = circle;
           [cartmesh.view(), cartmesh.view(null), cartmesh.view({product_id: 'x', circle}), cartmesh.order({total: 1n}),
            cartmesh.follow(), cartmesh.push(['nothing']), cartmesh.push(null),
            cartmesh.view({product_id: 'a b'}), cartmesh.cart(7)] && 0"""
    )
    await sent(page)

    await eventually(lambda: len(lines) == 9, within=60)
    failed = ["view", "view", "view", "order", "follow", "push('nothing')", "push('undefined')"]
    assert [line.partition(" failed")[0] for line in lines[:7]] == failed
    assert [line.partition(":")[0] for line in sorted(lines[7:])] == [
        "rejected cart_updated",
        "rejected product_viewed",
    ]


async def test_a_page_in_debug_says_what_it_sends(shop, visit, sent, eventually):
    """`data-debug` shows each event and what was left out of it, as often as it happens."""
    page, lines = await visit(), []
    page.on("console", lambda line: line.text.startswith("cartmesh:") and lines.append(line.text))
    shop.tags = shop.tag(debug="true")
    await page.goto(shop.url())

    for _ in range(2):
        await page.evaluate("cartmesh.view({product_id: 'sku-1', colour: 'red', price: 1299})")
        await sent(page)

    def count(words):
        return sum(line.startswith(f"cartmesh: {words}") for line in lines)

    for words in ("product_viewed", "left out of product_viewed: $.price: ", "left out of product_viewed: $.colour: "):
        await eventually(lambda words=words: count(words) == 2, within=60)
    assert any("minor units" in line for line in lines)


async def test_a_cut_emoji_is_mended_and_costs_no_other_event(shop, visit, sent):
    """A text that was cut inside an emoji is sent whole; the order beside it arrives."""
    page = await visit()
    await page.goto(shop.url())

    made = await page.evaluate(
        f"[cartmesh.search('tent \\ud83d'), cartmesh.order({{order_id: 'o1', lines: {LINES}, total: {TOTAL}}})]"
    )
    await sent(page)

    assert await shop.stored() == dict.fromkeys(made, 1)
    (searched,) = await shop.events_of(ProductSearched)
    assert searched.event.query == "tent \ufffd"


async def test_a_request_that_is_refused_is_sent_event_by_event(shop, visit, sent):
    """What makes the whole request 400 costs its own event alone."""
    page = await visit()
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('sku-0')")
    await sent(page)
    bodies = []

    async def refuse_several(route):
        bodies.append(len(route.request.post_data_json["events"]))
        spoilt = '"sku-3"' in route.request.post_data
        await (route.fulfill(status=400, json={"detail": "spoilt"}, headers=OPEN) if spoilt else route.continue_())

    await page.route("**/v1/updates?key=demo", refuse_several)
    made = await page.evaluate("Array.from({length: 5}, (_, n) => cartmesh.view('sku-' + (n + 1)))")
    await sent(page)

    assert bodies[0] > 1
    assert set(await shop.stored()) >= {id_ for n, id_ in enumerate(made) if n != 2}
    assert made[2] not in await shop.stored()


async def test_a_page_that_slept_does_not_send_what_another_page_took_over(shop, visit, sent):
    """Its events went to another region while it slept: it finds its own entry gone and sends nothing twice."""
    asleep = await visit()
    shop.tags = shop.tag("us")
    await asleep.goto(shop.url())
    made = await asleep.evaluate(
        "(() => { window.awake = setTimeout; window.setTimeout = () => 0; return cartmesh.view('sku-1') })()"
    )
    other = await asleep.context.new_page()
    await other.add_init_script("const now = Date.now; Date.now = () => now() + 12e4")
    shop.tags = shop.tag("eu")
    await other.goto(shop.url())
    await sent(other)
    assert await shop.stored() == {made: 1}

    await asleep.evaluate(
        """(() => {
            const now = Date.now
            Date.now = () => now() + 12e4
            window.setTimeout = awake
            cartmesh.flush()
        })()"""
    )
    await sent(asleep)

    assert await shop.stored() == {made: 1}


async def test_the_printed_tag_works_and_an_altered_script_does_not(shop, visit, sent):
    """The tag's hash is the script's; with another hash the browser refuses it and the page goes on."""
    page = await visit()
    shop.tags = await (await page.context.request.get(shop.at("us") + "/v1/tag?key=demo")).text()
    await page.goto(shop.url())
    await page.wait_for_function("cartmesh.version")
    made = await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)
    shop.tags = shop.tags.replace("sha384-", "sha384-AAAA")
    await page.goto(shop.url())

    assert await shop.stored() == {made: 1}
    assert await page.evaluate("cartmesh.push(['view', 'sku-2']) && cartmesh.version === undefined")
