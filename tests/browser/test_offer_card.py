"""The card that shows an offer on a shop's page."""

import pytest
from playwright.async_api import expect

from mesh.events.offer import Card, OfferClicked, OfferSent, OfferShown
from mesh.events.order import OrderPlaced

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
CARD = Card(
    title="Your cart is waiting",
    body="Take 10 % off <b>Sencha</b> and one more.",
    action="Back to my cart",
    url="https://shop.example/cart",
    coupon="BACK-7K",
)
STRICT = "default-src 'none'; script-src http://127.0.0.1:* 'unsafe-inline'; connect-src http://127.0.0.1:*; \
style-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"


@pytest.fixture
def shopper(shop, visit, sent):
    """A visitor with a filled cart."""

    async def came(**options):
        page = await visit(**options)
        await page.goto(shop.url())
        await page.evaluate(f"cartmesh.cart({LINES})")
        await sent(page)
        return page

    return came


@pytest.fixture
def offer(shop):
    """Send a visitor an offer."""

    async def send(page, offer_id="offer-1", card=CARD):
        visitor_id = await page.evaluate("cartmesh.visitor")
        sent = OfferSent(cart_id="c1", visitor_id=visitor_id, offer_id=offer_id, channel="onsite", card=card)
        await shop.meshes["us"].publish(sent)

    return send


async def test_an_offer_appears_and_can_be_used_without_a_mouse(shop, shopper, offer):
    """A dialog with a name, a coupon, a link and a button, all text plain; Esc closes it and gives the focus back."""
    page = await shopper()
    await page.locator("#buy").focus()

    await offer(page)
    dialog = page.get_by_role("dialog", name="Your cart is waiting")
    await expect(dialog).to_contain_text("Take 10 % off <b>Sencha</b> and one more.")

    await expect(page.locator("#buy")).to_be_focused()
    assert await dialog.evaluate("card => card.parentNode.ariaLive") == "polite"
    for role, name in (("button", "Copy"), ("link", "Back to my cart"), ("button", "Close")):
        await page.keyboard.press("Tab")
        await expect(dialog.get_by_role(role, name=name)).to_be_focused()
    await expect(dialog.get_by_role("button", name="Close")).to_have_css("width", "44px")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.locator("#buy")).to_be_focused()


async def test_a_dismissed_offer_stays_dismissed_and_the_next_one_comes(shop, shopper, offer):
    """The stream sends a new page the offer again; it is not shown again."""
    page = await shopper()
    await offer(page)
    await page.get_by_role("button", name="Close").click()
    await page.add_init_script(
        "window.shown = []; document.addEventListener('cartmesh:offer', offer => shown.push(offer.detail.offer_id))"
    )
    async with page.expect_request(lambda request: "/v1/cards/" in request.url):
        await page.goto(shop.url("/next"))

    await offer(page, "offer-2")
    await expect(page.get_by_role("dialog")).to_have_count(1)
    assert await page.evaluate("shown") == ["offer-2"]
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_buying_takes_the_offer_away(shop, shopper, offer):
    """Withdrawn by the mesh, on every open page of the visitor."""
    page = await shopper()
    other = await page.context.new_page()
    await other.goto(shop.url())
    await other.bring_to_front()
    await offer(page)
    await expect(other.get_by_role("dialog")).to_have_count(1)
    visitor_id = await page.evaluate("cartmesh.visitor")
    placed = OrderPlaced(order_id="o1", visitor_id=visitor_id, lines=(), total={"amount": 1, "currency": "EUR"})

    await shop.meshes["us"].publish(placed)

    for one in (page, other):
        await expect(one.get_by_role("dialog")).to_have_count(0)


async def test_the_card_keeps_its_looks_under_a_strict_policy(shop, shopper, offer):
    """No inline style, no markup from strings: a page that forbids both has the same card."""
    page = await shopper()
    shop.policy = STRICT
    await page.goto(shop.url("/strict"))

    await offer(page)

    await expect(page.get_by_role("dialog")).to_have_css("border-radius", "12px")
    await expect(page.locator("cartmesh-offer")).to_have_css("position", "fixed")


async def test_the_card_follows_the_page(shop, visit, shopper, offer):
    """Its buttons speak the page's language, its colours are the page's properties, and no script hides in a link."""
    shop.lang = "ja-JP"
    shop.tags += "<style>cartmesh-offer { --cartmesh-accent: rgb(1, 2, 3) } ::part(title) { color: red }</style>"
    page = await shopper()

    await offer(page)
    await expect(page.get_by_role("button", name="閉じる")).to_have_count(1)
    await expect(page.get_by_role("link")).to_have_css("background-color", "rgb(1, 2, 3)")
    await offer(page, "offer-2", Card(title="T", body="B", action="A", url="javascript:alert(1)"))

    await expect(page.get_by_role("dialog", name="T")).to_have_count(1)
    await expect(page.get_by_role("link")).to_have_count(0)


async def test_a_page_may_show_offers_itself(shop, shopper, offer):
    """The event has the whole offer; prevented, no card appears."""
    page = await shopper()
    await page.evaluate(
        """document.addEventListener('cartmesh:offer', offer => {
            offer.preventDefault()
            document.title = offer.detail.card.coupon
        })"""
    )

    await offer(page)

    await expect(page).to_have_title("BACK-7K")
    await expect(page.locator("cartmesh-offer")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 390, 320])
async def test_the_card_fits(shopper, offer, width):
    """Nothing runs out of a narrow window, also with long words."""
    page = await shopper(viewport={"width": width, "height": 400})
    long = Card(title="Warenkorb" * 9, body="Wort " * 200, action="Weiter" * 6, url="/cart", coupon="C" * 60)

    await offer(page, card=long)

    await expect(page.get_by_role("dialog")).to_have_count(1)
    box = await page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] >= 0
    assert await page.get_by_role("dialog").evaluate("card => card.scrollWidth - card.clientWidth") == 0


async def test_a_coupon_is_copied_where_the_browser_allows_it(shop, shopper, offer):
    """The button says that it was done; where there is no clipboard, the code stays there to be selected."""
    page = await shopper(permissions=["clipboard-read", "clipboard-write"])
    await offer(page)
    await page.get_by_role("button", name="Copy").click()

    await expect(page.get_by_role("button", name="Copied")).to_have_count(1)
    assert await page.evaluate("navigator.clipboard.readText()") == "BACK-7K"

    await page.evaluate("delete Navigator.prototype.clipboard")
    await offer(page, "offer-2")
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copy", exact=True)).to_have_count(1)


async def test_who_follows_the_link_has_seen_the_offer(shop, shopper, offer):
    """The card's link leads on, and the card does not wait on the page it leads to."""
    page = await shopper()
    await offer(page, card=Card(title="T", body="B", action="Back to my cart", url="/cart"))
    async with page.expect_request(lambda request: "/v1/cards/" in request.url):
        await page.get_by_role("link").click()
    await page.wait_for_url("**/cart")

    await offer(page, "offer-2", Card(title="Next", body="B", action="A", url="/cart"))

    await expect(page.get_by_role("dialog")).to_have_count(1)
    await expect(page.get_by_role("dialog", name="Next")).to_have_count(1)


async def test_the_mesh_learns_that_an_offer_was_seen_and_followed(shop, shopper, sent, offer):
    """Seen once for a browser, however many pages it is shown on; followed with the card's link."""
    page = await shopper()
    await offer(page, card=Card(title="T", body="B", action="Back to my cart", url="/cart"))
    await expect(page.get_by_role("dialog")).to_have_count(1)
    await page.goto(shop.url("/next"))
    await expect(page.get_by_role("dialog")).to_have_count(1)
    await page.get_by_role("link").click()
    await page.wait_for_url("**/cart")
    await sent(page)

    (shown,), (clicked,) = await shop.events_of(OfferShown), await shop.events_of(OfferClicked)

    assert (shown.event.cart_id, shown.event.offer_id, shown.event.channel) == ("c1", "offer-1", "onsite")
    assert (clicked.event.cart_id, clicked.event.offer_id) == ("c1", "offer-1")
    assert shown.event.visitor_id == clicked.event.visitor_id == await page.evaluate("cartmesh.visitor")


async def test_a_shop_chooses_who_sees_offers_and_in_which_language(shop, visit, sent, offer):
    """`data-offers` is `always`: without a cart as well; `off`: never. `data-lang` outweighs the page's language."""
    page, streams = await visit(), []
    page.on("request", lambda request: "/v1/cards/" in request.url and streams.append(request.url))
    shop.tags = shop.tag(offers="off")
    await page.goto(shop.url())
    await page.evaluate(f"cartmesh.cart({LINES})")
    await sent(page)
    await page.evaluate("cartmesh.cart([])")
    await sent(page)
    none = list(streams)

    shop.tags = shop.tag(offers="always", lang="de")
    await page.goto(shop.url())
    await page.evaluate("cartmesh.view('sku-1')")
    await sent(page)
    await offer(page)

    await expect(page.get_by_role("button", name="Schließen")).to_have_count(1)
    assert none == []
