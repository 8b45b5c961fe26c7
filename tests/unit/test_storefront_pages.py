"""The shop's pages as they are served: in every language, for every product, and whatever is asked of them."""

import json
import re
from datetime import UTC, datetime
from html import unescape
from string import Formatter

import httpx
import msgspec
import pytest
import pytest_asyncio

from mesh import Mesh
from mesh.events.cart import CartClosed, CartConverted, CartLine, CartUpdated
from mesh.events.offer import OfferDecided, OfferRecovered
from mesh.money import Money
from services.demo.storefront.app import build
from services.demo.storefront.catalogue import CATEGORIES, CURRENCIES, LANGUAGES, in_category, products
from services.demo.storefront.cli import unless_set
from services.demo.storefront.search import search_products
from services.demo.storefront.texts import preferred, words

EVIL = "\"><script>alert(1)</script>{{7*7}}{0.__class__}'"
WIDE = "\uff48\uff4f\uff55\uff48\uff49\uff4e"
PATHS = (
    *("", "cart", "checkout", "account", "search", "search?q=tea"),
    *(f"categories/{category}" for category in CATEGORIES),
    *(f"products/{product.product_id}" for product in products()),
)
LINE = CartLine(product_id="whisk", quantity=2, price=Money(amount=2400, currency="EUR"))
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def mesh(memory_broker):
    return Mesh(memory_broker, "storefront", others=("eu",))


@pytest_asyncio.fixture
async def shop(mesh, monkeypatch):
    """A shop beside a gateway, and one more region."""
    monkeypatch.setenv("CARTMESH_URL_GATEWAY", "https://us.gw.example")
    monkeypatch.setenv("CARTMESH_URLS_GATEWAY", "us=https://us.gw.example eu=https://eu.gw.example")
    monkeypatch.setenv("CARTMESH_URLS_STOREFRONT", "us=https://us.shop.example eu=https://eu.shop.example")
    served = httpx.ASGITransport(build(mesh))
    async with httpx.AsyncClient(
        transport=served, base_url="http://shop.example", headers={"accept-language": "en"}
    ) as client:
        yield client


async def test_every_page_is_there_in_every_language(shop):
    """All pages of all products and object stores answer 200, say their language, and leave no word out."""
    for language in LANGUAGES:
        for path in PATHS:
            answer = await shop.get(f"/{language}/{path}")

            assert answer.status_code == 200, path
            assert f'<html lang="{language}">' in answer.text
            assert not re.search(r"None|Undefined|\{\{|>\s*</h1>", answer.text), path


async def test_a_language_says_everything_that_the_others_say():
    """Every text is there in each language, with the same blanks to fill in, and none is empty."""
    texts = {language: words(language) for language in LANGUAGES}

    for name, english in texts["en"].items():
        blanks = {blank for _, blank, _, _ in Formatter().parse(english) if blank}
        for language in LANGUAGES:
            text = texts[language][name]
            assert text.strip() == text != ""
            assert {blank for _, blank, _, _ in Formatter().parse(text) if blank} == blanks, name


async def test_the_range_is_sound():
    """36 products, six to a object store, each with a name, a text and a price in every language and currency."""
    assert len({product.product_id for product in products()}) == 36
    assert [len(in_category(category)) for category in CATEGORIES] == [6] * 6
    for product in products():
        assert set(product.name) == set(product.text) == set(LANGUAGES)
        assert set(product.price) == set(CURRENCIES.values())
        assert all(amount > 0 for amount in product.price.values())
        assert all(product.name.values())
        assert all(product.text.values())


async def test_every_product_has_its_pictures(shop):
    """Each is drawn as SVG for pages; as PNG for mails where these ask for it."""
    for product in products():
        drawn = await shop.get(f"/pictures/{product.product_id}.svg")
        assert drawn.headers["content-type"] == "image/svg+xml"
        assert drawn.text.startswith("<svg")

    painted = await shop.get("/pictures/whisk.png")
    assert painted.headers["content-type"] == "image/png"
    assert painted.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/xx/",
        "/en/products/nothing",
        "/de/products/%00",
        "/ja/categories/../cups",
        "/en/products/..%2f..%2fapp.py",
        "/pictures/nothing.svg",
        "/pictures/nothing.png",
        "/pictures/whisk.gif",
        "/static/old/shop.css",
        "/catalogue/en/USD/old",
        "/catalogue/en/XXX/old",
    ],
)
async def test_what_is_not_there_is_said_on_a_page(shop, path):
    """An address that leads nowhere answers 404 with a page of the shop, under the same policy as all others."""
    answer = await shop.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "Back to the shop" in answer.text or "Zurück in den Laden" in answer.text or "お店に戻る" in answer.text


@pytest.mark.parametrize(
    "query", [EVIL, "\x00\x1f", "a" * 5000, "\u202e\u200b", "%", "🍵" * 200, "' OR 1=1 --", "   ", "\ud800"]
)
async def test_whatever_is_searched_for_a_page_answers(shop, query):
    """No search is an error, and none is repeated as anything but text."""
    asked = query.encode("utf-8", "surrogatepass")
    answer = await shop.get("/en/search", params={"q": asked})

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "49" not in re.sub(r"<[^>]*>", "", answer.text.split("<main")[1].split("<p")[0])


async def test_products_are_found_by_any_of_their_names():
    """Whatever the language, case, accents or the width of letters; the name counts most."""
    queries = ("MATCHA", "grun", "急須", WIDE)
    found = {query: [one.product_id for one in search_products(query)] for query in queries}

    assert found["MATCHA"][0] in ("matcha-asahi", "chawan-kohiki", "chawan-tenmoku", "whisk")
    assert "sencha-yame-50" in found["grun"]
    assert {"kyusu-red", "kyusu-black"} <= set(found["急須"])
    assert found[WIDE][0] == "houhin"
    assert search_products("matcha locomotive") == ()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fr, ja;q=0.3, en;q=0.2", "ja"),
        ("fr", "en"),
        ("de;q=0, ja;q=x", "en"),
        ("", "en"),
        (",;=;q=,", "en"),
    ],
)
async def test_a_browser_is_answered_in_the_language_it_likes_best(shop, accepted, language):
    """The root page redirects to the best of the shop's languages that the browser accepts, else to English."""
    answer = await shop.get("/", headers={"accept-language": accepted}, follow_redirects=False)

    assert preferred(accepted) == language
    assert (answer.status_code, answer.headers["location"]) == (302, f"/{language}/")


async def test_prices_follow_the_language_until_another_currency_is_chosen(shop):
    """Dollars in English, euros in German, yen in Japanese; what was chosen is kept, and nonsense changes nothing."""
    assert "$11.50" in (await shop.get("/en/products/sencha-yame-50")).text
    assert "9,80\xa0€" in (await shop.get("/de/products/sencha-yame-50")).text
    assert "1,400" in (await shop.get("/ja/products/sencha-yame-50?currency=GBP")).text

    chosen = await shop.get("/en/products/sencha-yame-50?currency=EUR")

    assert "€9.80" in chosen.text
    assert "€9.80" in (await shop.get("/en/products/sencha-yame-50")).text


async def test_other_languages_and_regions_show_the_same_page(shop):
    """Switching keeps the page and what was searched for."""
    text = (await shop.get("/en/search?q=tea+%26+tin")).text

    assert 'href="/de/search?q=tea+%26+tin"' in text
    assert 'href="https://eu.shop.example/en/search?q=tea+%26+tin"' in text
    assert 'href="/en/search?q=tea+%26+tin&amp;currency=JPY"' in text


async def test_the_page_may_load_the_script_and_nothing_else_of_others(shop):
    """The tag waits for consent and knows all regions; the policy names the gateways where it must, and only there."""
    answer = await shop.get("/en/")

    assert 'src="https://us.gw.example/v1/cartmesh.js" data-key="demo" data-region="us"' in answer.text
    assert 'data-consent="required" data-respect="signals"' in answer.text
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    gateways = "'self' https://us.gw.example https://eu.gw.example"
    assert (policy["script-src"], policy["connect-src"]) == (gateways, gateways)
    assert (policy["default-src"], policy["style-src"]) == ("'none'", "'self'")
    assert not re.search(r"<style|style=|<script(?![^>]* src=)| on\w+=", answer.text)


async def test_a_demonstration_leads_to_its_inbox_and_board(shop, mesh, monkeypatch):
    """Where there are any, each page and the account name them; where there are none, nothing is named."""
    assert 'class="nearby"' not in (await shop.get("/en/account")).text
    monkeypatch.setenv("CARTMESH_URL_INBOX", "http://127.0.0.1:8025/")
    monkeypatch.setenv("CARTMESH_URL_CONSOLE", "javascript:alert(1)")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(build(mesh)), base_url="http://shop.example") as other:
        text = (await other.get("/en/account")).text

    assert text.count('<a href="http://127.0.0.1:8025/" target="_blank" rel="noopener">Inbox of this demo</a>') == 2
    assert "javascript:" not in text


async def test_files_are_kept_for_ever_and_pages_asked_for_again(shop):
    """What a page names may be cached, since its address changes with it; the page itself is asked for each time."""
    page = await shop.get("/en/")
    named = set(re.findall(r'"(/static/[^"]+|/catalogue/[^"]+)"', page.text))

    assert len(named) == 7
    for address in named:
        file = await shop.get(address)
        assert (file.status_code, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    again = await shop.get("/en/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, page.headers["cache-control"]) == (304, "private, no-cache")


OFFER = {
    "offer_id": "o1",
    "abandonment_id": "a1",
    "attempt": 1,
    "outcome": "approved",
    "reason": "",
    "checks": (),
    "journey": "j",
    "due": NOW,
}


async def leave(mesh, *lines, cart="c1", **decided):
    """A cart that was filled and left, and what was decided about it."""
    who = {"cart_id": cart, "visitor_id": "v1"}
    await mesh.publish(CartUpdated(lines=lines, **who))
    plain = {"attempt": 1, "outcome": "approved", "reason": "", "checks": (), "journey": "j", "due": NOW}
    await mesh.publish(OfferDecided(offer_id="o1", abandonment_id="a1", **{**who, **plain, **decided}))


async def test_the_link_of_an_offer_brings_the_cart_and_its_discount_back(shop, mesh):
    """The lines are those that were left; the percentage is the one that was decided, whatever the link says."""
    await leave(mesh, LINE, coupon="HELLO", discount_percent=10)

    page = (await shop.get("/cart/c1?offer=o1&coupon=HELLO&percent=99")).text

    restored = json.loads(re.search(r'data-restored="([^"]*)"', page)[1].replace("&#34;", '"'))
    assert restored == {"cart_id": "c1", "lines": {"whisk": 2}, "coupon": "HELLO", "percent": 10}


@pytest.mark.parametrize("asked", ["", "?offer=o2&coupon=HELLO", "?offer=o1&coupon=OTHER", "?offer=o1"])
async def test_a_coupon_holds_only_with_its_own_offer(shop, mesh, asked):
    """With another offer, another code or none, the cart comes back at its full price."""
    await leave(mesh, LINE, coupon="HELLO", discount_percent=10)

    page = (await shop.get(f"/cart/c1{asked}")).text

    assert "&#34;percent&#34;:0" in page
    assert "HELLO" not in page


def offered_on(page):
    """What a page tells its script of a coupon."""
    found = re.search(r'data-offered="([^"]*)"', page)
    return json.loads(unescape(found[1])) if found else None


@pytest.mark.parametrize("path", ["/", "/en/", "/de/products/whisk"])
async def test_the_link_of_an_offer_without_a_cart_brings_its_coupon(shop, mesh, path):
    """The page keeps it for the cart, and says so; the shop's own address leads to the shopper's language with it."""
    decided = {"coupon": "HELLO", "discount_percent": 10, "trigger": "no order since"}
    await mesh.publish(OfferDecided(**OFFER, cart_id="no-1", visitor_id="v1", **decided))
    asked = "?offer=o1&coupon=HELLO&about=no-1&percent=99"

    page = (await shop.get(f"{path}{asked}", follow_redirects=True)).text

    assert offered_on(page) == {"about": "no-1", "coupon": "HELLO", "percent": 10}
    assert "HELLO" in re.search(r'<p class="note">([^<]*)</p>', page)[1]


async def test_a_coupon_without_a_cart_holds_only_as_it_was_decided_and_until_it_was_used(shop, mesh):
    """Not with another offer, code or key; nor after an order that followed it."""
    decided = {"coupon": "HELLO", "discount_percent": 10, "trigger": "no order since"}
    await mesh.publish(OfferDecided(**OFFER, cart_id="no-1", visitor_id="v1", **decided))
    right = {"offer": "o1", "coupon": "HELLO", "about": "no-1"}
    wrong = [right | one for one in ({"offer": "o2"}, {"coupon": "X"}, {"about": "no-2"}, {"about": "%00"})]

    pages = [(await shop.get("/en/", params=one)).text for one in wrong]
    won = {"order_id": "n1", "offer_id": "o1", "value": Money(amount=100, currency="USD")}
    await mesh.publish(OfferRecovered(cart_id="no-1", visitor_id="v1", **won))
    pages.append((await shop.get("/en/", params=right)).text)

    assert [offered_on(page) for page in pages] == [None] * 5


@pytest.mark.parametrize(
    "ended",
    [
        CartConverted(cart_id="c1", order_id="n1", visitor_id="v1"),
        CartClosed(cart_id="c1", order_id="n1", visitor_id="v1", region="eu"),
    ],
)
async def test_a_cart_that_was_bought_is_not_brought_back(shop, mesh, ended):
    """Neither it nor its coupon, here or in another region, until it is filled again."""
    await leave(mesh, LINE, coupon="HELLO", discount_percent=10)
    await mesh.publish(ended)

    bought = (await shop.get("/cart/c1?offer=o1&coupon=HELLO")).text
    await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v1", lines=(LINE,)))
    again = (await shop.get("/cart/c1")).text

    assert "data-restored" not in bought
    assert "data-restored" in again


async def test_only_what_the_shop_sells_comes_back(shop, mesh):
    """A write key is public, so a cart may hold anything, in any number."""
    strange = msgspec.structs.replace(LINE, product_id="constructor")
    await leave(mesh, msgspec.structs.replace(LINE, quantity=5000), strange)

    page = (await shop.get("/cart/c1")).text

    restored = json.loads(re.search(r'data-restored="([^"]*)"', page)[1].replace("&#34;", '"'))
    assert restored["lines"] == {"whisk": 99}


@pytest.mark.parametrize("cart", ["unknown", "%00", "*", "%3E", "a%20b", "a.b", "x" * 500, "%F0%9F%8D%B5"])
async def test_a_cart_that_is_not_there_is_said_on_the_page(shop, cart):
    """A link to no cart shows the shopper's own."""
    answer = await shop.get(f"/cart/{cart}?offer=%00&coupon=%ED%A0%80")

    assert answer.status_code == 200
    assert "We could not find that cart any more" in answer.text
    assert "data-restored" not in answer.text


def test_whoever_starts_the_demo_names_their_own_shop():
    """What is set already is kept, so that mails carry the name of the shop that a person tries out."""
    defaults = {"CARTMESH_SHOP_NAME": "Haru & Linde", "CARTMESH_JOURNEY_QUIET": ""}

    assert unless_set(defaults, {}) == defaults
    assert unless_set(defaults, {"CARTMESH_SHOP_NAME": "My shop"}) == {"CARTMESH_JOURNEY_QUIET": ""}
