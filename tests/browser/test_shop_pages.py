"""The shop's pages as people use them: the real services on a mesh in memory, in real Chromium."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.code import CodeChanged
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderCreated, OrderPlaced
from mesh.events.recommendation import RecommendationClicked, RecommendationShown
from mesh.money import Money
from mesh.runtime.run import running
from services import gateway
from services.demo import storefront
from services.demo.storefront.seeding import Seeding
from services.promotions.code_key import code_id
from tests.order_services import order_services
from tests.pages import violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
MOST_BYTES, MOST_REQUESTS = 200_000, 40
ALL_SENT = "cartmesh.version && !cartmesh.waiting"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass
class Street:
    """A shop with its gateway in one region."""

    mesh: Mesh
    url: str

    async def events_of(self, kind, visitor):
        """What the mesh has of a visitor, oldest first."""
        return [one.event async for one in self.mesh.read(kind) if one.event.visitor_id == visitor]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def street(tmp_path_factory):
    """One region with its gateway, its shop and what orders need; `eu` is known by its addresses alone."""
    regions = MemoryMesh("us")
    patched = pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patched.undo)
        patched.setenv("CARTMESH_CORS_ORIGINS", "*")
        patched.setenv("CARTMESH_SERVER_KEYS", "only-my-servers-know")
        said = _address(await _opened(stack, regions, gateway.service))
        patched.setenv("CARTMESH_URL_GATEWAY", said)
        patched.setenv("CARTMESH_URLS_GATEWAY", f"us={said}")
        patched.setenv("CARTMESH_URLS_STOREFRONT", "us=http://us.shop.example eu=http://eu.shop.example")
        books = tmp_path_factory.mktemp("books")
        await stack.enter_async_context(order_services(regions, books, patched.setenv))
        shop = await _opened(stack, regions, storefront.service)
        await asyncio.wait_for(shop.provided[Seeding].done.wait(), 120)
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        yield Street(Mesh(broker, "test"), _address(shop))


async def _opened(stack, regions, service):
    broker = regions.broker("us")
    stack.push_async_callback(broker.drain)
    return await stack.enter_async_context(running(service, Mesh(broker, service.name), http=("127.0.0.1", 0)))


def _address(run):
    return f"http://127.0.0.1:{run.port}"


@pytest.fixture
def holds(eventually):
    """Wait until something is true on a page, whose policy forbids it to evaluate strings itself."""

    async def wait(page: Page, expression: str) -> None:
        await eventually(lambda: page.evaluate(expression), within=60)

    return wait


async def enter(page: Page, street: Street, path: str = "/en/", answer: str | None = "Accept") -> None:
    """Open a page of the shop for the first time and answer its question."""
    await page.goto(street.url + path)
    if answer:
        await page.get_by_role("button", name=answer, exact=True).click()
        await expect(page.locator("[data-ask]")).to_be_hidden()


async def take(page: Page, street: Street, product: str, lang: str = "en") -> None:
    """Put a product into the cart on its page."""
    await page.goto(f"{street.url}/{lang}/products/{product}")
    await page.locator("[data-add] button").click()
    await expect(page.locator("[data-added] a")).to_be_visible()


async def test_a_shopper_looks_fills_a_cart_and_buys(street, visit, holds):
    """Each step is on the page, and in the mesh as it was shown: whole carts, in the shown currency, with pictures."""
    page = await visit(locale="en-US")
    await enter(page, street)
    await page.get_by_role("searchbox").fill("sencha yame")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Sencha from Yame, 50 g").click()
    await page.get_by_role("spinbutton", name="Quantity").fill("2")
    await page.get_by_role("button", name="Add to cart").click()
    await expect(page.locator("[data-count]")).to_have_text("2")
    await take(page, street, "kyusu-red")
    await page.get_by_role("link", name="To the cart").click()

    await expect(page.locator("[data-lines] li")).to_have_count(2)
    await expect(page.locator("[data-row=total] dd")).to_have_text("$103.00")
    await page.get_by_role("spinbutton", name="Quantity of Sencha").fill("1")
    await page.keyboard.press("Tab")
    await expect(page.locator("[data-row=total] dd")).to_have_text("$91.50")
    await page.get_by_role("button", name="Remove Kyusu").click()
    await expect(page.locator("[data-row=total] dd")).to_have_text("$11.50")
    await page.get_by_role("link", name="Check out").click()
    await page.get_by_role("button", name="Place order").dblclick()
    await expect(page.get_by_role("heading", name="Your order is confirmed.")).to_be_visible()
    await expect(page.locator("[data-total]")).to_have_text("$11.50")
    await expect(page.locator("[data-history] li")).to_have_count(3)
    await expect(page.locator("[data-count]")).to_be_hidden()

    await holds(page, ALL_SENT)
    visitor = await page.evaluate("cartmesh.visitor")
    (search,) = await street.events_of(ProductSearched, visitor)
    views = await street.events_of(ProductViewed, visitor)
    carts = await street.events_of(CartUpdated, visitor)
    (order,) = await street.events_of(OrderPlaced, visitor)  # though the button was clicked twice
    assert (search.query, search.results) == ("sencha yame", 2)
    assert [view.product_id for view in views] == ["sencha-yame-50", "kyusu-red"]
    assert [[line.quantity for line in cart.lines] for cart in carts] == [[2], [2, 1], [1, 1], [1]]
    assert carts[0].lines[0].image == f"{street.url}/pictures/sencha-yame-50.png"
    assert carts[0].lines[0].url == f"{street.url}/en/products/sencha-yame-50"
    assert order.total == Money(amount=1150, currency="USD")
    assert {cart.cart_id for cart in carts} == {order.cart_id}
    assert len(await street.events_of(CheckoutStarted, visitor)) == 1


async def test_who_pays_with_a_card_that_is_declined_can_try_another(street, visit):
    """The order's page says why it is cancelled, puts all of it back into the cart, and the next order is paid."""
    page = await visit(locale="en-US")
    await enter(page, street)
    await take(page, street, "gaiwan-white")
    await page.goto(f"{street.url}/en/checkout")
    await page.get_by_label("A card that its bank declines").check()
    await page.get_by_role("button", name="Place order").click()
    await expect(page.get_by_role("heading", name="Your order is cancelled.")).to_be_visible()
    await expect(page.get_by_role("status")).to_contain_text("Your bank did not accept the card. Nothing was charged")

    await page.get_by_role("button", name="Put everything back into the cart").click()
    await expect(page.locator("[data-lines] li")).to_have_count(1)
    await page.get_by_role("link", name="Check out").click()
    await page.get_by_role("button", name="Place order").click()

    await expect(page.get_by_role("heading", name="Your order is confirmed.")).to_be_visible()
    visitor = await page.evaluate("cartmesh.visitor")
    orders = await street.events_of(OrderCreated, visitor)
    assert [one.payment_method == "card_declined" for one in orders] == [True, False]
    assert len({one.cart_id for one in orders}) == 2, "each order ends a cart of its own"


async def test_a_shown_list_is_reported_once_it_is_in_view(street, visit, holds, eventually):
    """In its order, with the page it stands on; a click names the list and the position; unseen lists are not sent."""
    page = await visit(locale="en-US", viewport={"width": 800, "height": 300})
    await enter(page, street, "/en/products/whisk")
    await holds(page, "cartmesh.visitor")
    await holds(page, ALL_SENT)
    visitor = await page.evaluate("cartmesh.visitor")
    assert await street.events_of(RecommendationShown, visitor) == []

    ids = await page.locator("[data-picks] li").evaluate_all("rows => rows.map(row => row.dataset.product)")
    await page.set_viewport_size({"width": 800, "height": 2600})
    (shown,) = await eventually(lambda: street.events_of(RecommendationShown, visitor), within=60)
    await page.locator("[data-picks] li a").nth(1).click()
    await page.wait_for_url(f"**/{ids[1]}")
    (clicked,) = await eventually(lambda: street.events_of(RecommendationClicked, visitor), within=60)

    assert (shown.place, list(shown.product_ids), shown.first, shown.model_version) == ("product", ids, 1, None)
    assert (clicked.list_id, clicked.place) == (shown.list_id, "product")
    assert (clicked.product_id, clicked.position) == (ids[1], 2)


async def test_who_refuses_can_buy_as_well(street, visit):
    """Nothing is stored for the mesh, nothing is said to it, and the shop does all it does."""
    page, asked = await visit(locale="en-US"), []
    page.on("request", lambda request: asked.append(request.url))
    await enter(page, street, answer="Refuse")
    await take(page, street, "whisk")
    await page.goto(f"{street.url}/en/checkout")
    await page.get_by_role("button", name="Place order").click()
    await expect(page.locator("[data-number]")).to_contain_text("HL-")

    assert not [url for url in asked if "/v1/updates" in url or "/picks/" in url]
    kept = await page.evaluate("Object.keys(localStorage)")
    assert not [name for name in kept if name.startswith("cartmesh")]


async def test_the_shop_does_without_the_script(street, visit):
    """Blocked, as by a filter: cart, checkout and account work."""
    page = await visit(locale="en-US")
    await page.route("**/cartmesh.js", lambda route: route.abort())
    await enter(page, street)
    await take(page, street, "whisk")
    await page.goto(f"{street.url}/en/cart")
    await expect(page.locator("[data-lines] li")).to_have_count(1)
    await page.get_by_role("link", name="Check out").click()
    await page.get_by_role("button", name="Place order").click()

    await expect(page.locator("[data-number]")).to_contain_text("HL-")


async def test_a_choice_that_comes_late_counts_for_what_was_done_before(street, visit, holds):
    """A cart filled before the question was answered is sent once the answer is yes, not earlier; all tabs know it."""
    page = await visit(locale="en-US")
    await enter(page, street, answer=None)
    await take(page, street, "scoop")
    assert await page.evaluate("cartmesh.visitor ?? null") is None

    await page.goto(f"{street.url}/en/")
    other = await page.context.new_page()
    await other.goto(f"{street.url}/en/cart")
    await page.bring_to_front()
    await page.get_by_role("button", name="Accept").click()

    await expect(other.locator("[data-ask]")).to_be_hidden()
    await holds(page, "cartmesh.visitor")
    await holds(page, ALL_SENT)
    carts = await street.events_of(CartUpdated, await page.evaluate("cartmesh.visitor"))
    assert {line.product_id for cart in carts for line in cart.lines} == {"scoop"}


async def test_a_shopper_signs_in_and_out(street, visit, holds):
    """Signing in says who it is and what they allow; signing out makes the next one somebody else."""
    page = await visit(locale="en-US")
    await enter(page, street, "/en/account")
    await page.get_by_label("E-mail", exact=True).fill("ann@example.com")
    await page.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("[data-signed-in]")).to_contain_text("Signed in as ann@example.com")
    await holds(page, ALL_SENT)
    visitor = await page.evaluate("cartmesh.visitor")

    (who,) = await street.events_of(CustomerIdentified, visitor)
    (allowed,) = await street.events_of(ConsentChanged, visitor)
    assert (who.email, allowed.channel, allowed.granted) == ("ann@example.com", "email", True)

    await take(page, street, "whisk")
    await page.goto(f"{street.url}/en/account")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await expect(page.locator("[data-count]")).to_be_hidden()
    await page.goto(f"{street.url}/en/products/whisk")
    await holds(page, "cartmesh.visitor")
    assert await page.evaluate("cartmesh.visitor") != visitor


async def test_who_refused_can_allow_on_the_account_page(street, visit, holds, eventually):
    """One button there allows both, and the consent is published by the shop's server, whose word lifts any refusal."""
    page = await visit(locale="en-US")
    await page.goto(f"{street.url}/en/account")
    await page.get_by_role("button", name="Refuse").click()
    await page.get_by_label("E-mail", exact=True).fill("bea@example.com")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("[data-forbidden]")).to_be_visible()
    await expect(page.locator("[data-refused]")).to_be_visible()

    await page.get_by_role("button", name="Allow both").click()

    await expect(page.locator("[data-forbidden]")).to_be_hidden()
    await expect(page.locator("[data-refused]")).to_be_hidden()
    await holds(page, "cartmesh.visitor")
    await holds(page, ALL_SENT)
    visitor = await page.evaluate("cartmesh.visitor")
    allowed = await eventually(lambda: street.events_of(ConsentChanged, visitor), within=60)
    assert [(one.channel, one.granted, one.by) for one in allowed] == [("email", True, "server")]


async def test_an_offer_brings_its_cart_and_discount_to_another_device(street, visit, holds, eventually):
    """The link shows the lines that were left; the decided percentage is taken off, and the order says so."""
    line = CartLine(product_id="whisk", quantity=2, price=Money(amount=2900, currency="USD"))
    who = {"cart_id": "left-1", "visitor_id": "elsewhere"}
    plain = {"attempt": 1, "outcome": "approved", "reason": "", "checks": (), "journey": "j", "due": NOW}
    coupon = {"coupon": "HELLO", "discount_percent": 10}
    await street.mesh.publish(CartUpdated(lines=(line,), **who))
    await street.mesh.publish(OfferDecided(offer_id="o1", abandonment_id="a1", **who, **plain, **coupon))
    await eventually(lambda: street.mesh.last(CodeChanged, code_id("HELLO")))

    page = await visit(locale="en-US")
    await enter(page, street, "/cart/left-1?offer=o1&coupon=HELLO")

    await expect(page).to_have_url(f"{street.url}/en/cart")
    await expect(page.locator("[data-row=discount]")).to_contain_text("Coupon HELLO, 10 % off")
    total = await page.locator("[data-row=total] dd").inner_text()
    subtotal = await page.locator("[data-row=subtotal] dd").inner_text()
    assert float(total[1:]) == pytest.approx(0.9 * float(subtotal[1:]), abs=0.01)
    await page.get_by_role("link", name="Check out").click()
    await page.get_by_role("button", name="Place order").click()
    await expect(page.locator("[data-total]")).to_have_text(total)
    await holds(page, ALL_SENT)
    (order,) = await street.events_of(OrderPlaced, await page.evaluate("cartmesh.visitor"))
    assert (order.cart_id, order.coupon, order.total.amount) == ("left-1", "HELLO", round(100 * float(total[1:])))


async def test_a_win_back_mails_link_brings_its_code_to_the_next_cart(street, visit, holds, eventually):
    """It is kept and said, and taken off whatever is put into the cart; the order has it."""
    plain = {"attempt": 1, "outcome": "approved", "reason": "", "checks": (), "journey": "j", "due": NOW}
    coupon = {"coupon": "COMEBACK", "discount_percent": 10, "trigger": "no order since"}
    about = {"cart_id": "no-9", "visitor_id": "elsewhere", "offer_id": "o9", "abandonment_id": "a9"}
    await street.mesh.publish(OfferDecided(**about, **plain, **coupon))
    await eventually(lambda: street.mesh.last(CodeChanged, code_id("COMEBACK")))

    page = await visit(locale="en-US")
    await enter(page, street, "/?offer=o9&coupon=COMEBACK&about=no-9&cartmesh=email.o9.no-9")

    await expect(page.locator(".note")).to_have_text(re.compile("Your coupon COMEBACK is kept: 10 % off"))
    await page.goto(f"{street.url}/en/products/whisk")
    await page.get_by_role("button", name="Add to cart").click()
    await page.goto(f"{street.url}/en/cart")
    await expect(page.locator("[data-row=discount]")).to_contain_text("Coupon COMEBACK, 10 % off")
    total = await page.locator("[data-row=total] dd").inner_text()
    await page.get_by_role("link", name="Check out").click()
    await page.get_by_role("button", name="Place order").click()
    await expect(page.locator("[data-total]")).to_have_text(total)
    await holds(page, ALL_SENT)
    (order,) = await street.events_of(OrderPlaced, await page.evaluate("cartmesh.visitor"))
    assert (order.coupon, order.total.amount) == ("COMEBACK", round(100 * float(total[1:])))


async def test_on_the_page_of_the_cart_an_offers_code_is_applied(street, visit):
    """No card lies over the total with the way to where one is; elsewhere the card is shown."""
    line = CartLine(product_id="whisk", quantity=1, price=Money(amount=2900, currency="USD"))
    who = {"cart_id": "left-2", "visitor_id": "here"}
    plain = {"attempt": 1, "outcome": "approved", "reason": "", "checks": (), "journey": "j", "due": NOW}
    await street.mesh.publish(CartUpdated(lines=(line,), **who))
    await street.mesh.publish(
        OfferDecided(offer_id="o2", abandonment_id="a2", coupon="AGAIN", discount_percent=10, **who, **plain)
    )
    card = {"title": "T", "body": "B", "action": "A", "url": "/cart/left-2?offer=o2&coupon=AGAIN", "coupon": "AGAIN"}
    offer = """detail => setTimeout(() => {
      window.went = document.dispatchEvent(new CustomEvent('cartmesh:offer', { detail, cancelable: true }))
    })"""
    page = await visit(locale="en-US")
    await enter(page, street, "/en/products/whisk")
    await page.get_by_role("button", name="Add to cart").click()
    await page.evaluate(offer, {"offer_id": "o2", "cart_id": "left-2", "card": card})
    await page.wait_for_function("window.went === true")

    await page.goto(f"{street.url}/en/cart")
    await expect(page.locator("[data-row=total]")).to_be_visible()
    await page.evaluate(offer, {"offer_id": "o2", "cart_id": "left-2", "card": card})

    await expect(page.locator("[data-row=discount]")).to_contain_text("Coupon AGAIN, 10 % off")
    await expect(page).to_have_url(f"{street.url}/en/cart")


async def test_languages_and_currencies_change_and_the_cart_stays(street, visit):
    """The same page in German, then in yen; all tabs show the same cart."""
    page = await visit(locale="en-US")
    await enter(page, street, "/")
    await take(page, street, "whisk")
    await page.locator("summary").click()
    await page.get_by_role("link", name="Deutsch").click()
    await expect(page).to_have_url(f"{street.url}/de/products/whisk")
    await page.locator("summary").click()
    await page.get_by_role("link", name="JPY").click()
    await expect(page.locator(".product .price")).to_contain_text("¥")
    other = await page.context.new_page()
    await other.goto(f"{street.url}/de/cart")
    await expect(other.locator("[data-row=total] dd")).to_contain_text("¥")

    await page.locator("[data-add] button").click()

    await expect(other.get_by_role("spinbutton")).to_have_value("2")
    await expect(other.locator("[data-count]")).to_have_text("2")


async def test_the_keyboard_is_enough(street, visit):
    """From the first Tab, which skips the head, to a full cart; Esc closes the choices and gives the focus back."""
    page = await visit(locale="en-US")
    await enter(page, street, "/en/products/whisk")
    await page.reload()
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#content")).to_be_focused()
    await page.get_by_role("spinbutton", name="Quantity").focus()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(page.locator("[data-count]")).to_have_text("2")

    await page.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".choices")).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")

    await expect(page.locator(".choices")).to_be_hidden()
    await expect(page.locator("summary")).to_be_focused()


@pytest.mark.parametrize(
    ("scheme", "lang", "paths"), [("light", "de", ("cart", "account")), ("dark", "ja", ("checkout", "search?q=matcha"))]
)
async def test_everyone_can_read_the_shop(street, visit, scheme, lang, paths):
    """axe-core finds nothing on any page, asked or answered; narrow, nothing is cut off; the console is silent."""
    said = []
    page = await visit(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page.on("console", lambda line: said.append(line.text))

    async def look(path):
        assert await violations(page) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path

    await page.goto(f"{street.url}/{lang}/")
    await look("asked")
    await page.locator("[data-answer=yes]").click()
    await take(page, street, "yunomi-indigo", lang)
    await look("product")
    for path in paths:
        await page.goto(f"{street.url}/{lang}/{path}")
        if path in ("cart", "checkout"):
            await expect(page.locator("[data-lines] li")).to_have_count(1)
        await look(path)
    if "checkout" in paths:
        await page.goto(f"{street.url}/{lang}/checkout")
        await page.locator("[data-place]").click()
        await expect(page.locator("[data-status=shipping]")).to_be_visible()
        await look("order")
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.goto(f"{street.url}/{lang}/")
    await page.locator("summary").click()
    assert await violations(page) == []
    assert said == []


async def test_the_first_page_is_light(street, visit, holds):
    """All of it, with every picture and the script, in few bytes and requests."""
    page, came = await visit(viewport={"width": 1280, "height": 900}), []
    page.on("requestfinished", lambda request: came.append(request))  # noqa: PLW0108  it marks what it is given

    await page.goto(f"{street.url}/en/")
    await page.evaluate("for (const image of document.images) image.loading = 'eager'")
    await holds(page, "[...document.images].every(image => image.complete && image.naturalWidth)")
    await holds(page, "cartmesh.version")

    sizes = [await request.sizes() for request in came]
    size = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes)
    print(f"{size:,} bytes in {len(came)} requests")
    assert size <= MOST_BYTES
    assert len(came) <= MOST_REQUESTS
