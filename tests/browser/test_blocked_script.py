"""A script that is blocked, loaded twice, or used with what is not its own: the shop's page never breaks."""

import pytest

from mesh.events.interaction import ProductViewed

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def shop_on(page):
    """What a shopper does on a page whose calls go nowhere; raises where one of them throws."""
    await page.evaluate(
        """() => {
            cartmesh.push(['view', 'sku-1'], ['cart', []])
            document.querySelector('#buy').onclick = () => {
                cartmesh.push(['search', 'tea'])
                document.title = 'Bought'
            }
        }"""
    )
    await page.click("#buy")
    assert await page.title() == "Bought"


@pytest.mark.parametrize("attribute", ["", " async"])
async def test_where_the_script_is_blocked_the_shop_goes_on(shop, visit, console_of, attribute):
    """Aborted by a blocker: the page loads, its calls land in a list, nothing is thrown and nothing is asked."""
    page, asked = await visit(), []
    console = console_of(page)
    shop.tags = shop.tag().replace("<script", "<script" + attribute)
    await page.route("**/cartmesh.js", lambda route: route.abort("blockedbyclient"))
    page.on("request", lambda request: asked.append(request.url))

    await page.goto(shop.url())
    await shop_on(page)

    assert await page.evaluate("cartmesh.length") == 3
    assert (console, [url for url in asked if "/v1/updates" in url or "/v1/cards" in url]) == ([], [])
    assert await page.evaluate("localStorage.length") == 0


async def test_of_two_tags_the_first_counts(shop, visit, sent, console_of):
    """Loaded twice, with another key or from elsewhere: one script, one visitor, one view, silence."""
    page = await visit()
    console = console_of(page)
    shop.tags = shop.tag(views="/products/:product_id") + shop.tag("eu", key="other", views="/products/:product_id")
    shop.tags += shop.tag("eu", "us", views="/products/:product_id")

    await page.goto(shop.url("/products/sku-1"))
    await sent(page)

    assert [viewed.event.product_id for viewed in await shop.events_of(ProductViewed)] == ["sku-1"]
    assert await page.evaluate("Object.keys(localStorage)") == ["cartmesh:demo"]
    assert console == []


@pytest.mark.parametrize("tag", [{"key": "of-another-shop"}, {"key": ""}], ids=["forged", "empty"])
async def test_an_unknown_key_is_reported_once_and_not_sent_again(shop, visit, sent, console_of, eventually, tag):
    """Nothing stored, one line in the console that says what to do, and the page goes on."""
    page, lines = await visit(), []
    console = console_of(page)
    page.on("console", lambda line: line.text.startswith("cartmesh:") and lines.append(line.text))
    shop.tags = shop.tag(**tag)
    await page.goto(shop.url())

    for n in range(3):
        await page.evaluate(f"cartmesh.view('sku-{n}')")
        await sent(page)
    await shop_on(page)
    await sent(page)

    assert await eventually(lambda: console == ["refused"])
    assert "CARTMESH_WRITE_KEYS" in lines[0]
    assert await shop.stored() == {}


async def test_a_key_on_another_shops_pages_is_refused_in_one_line(open_shop, visit, sent, console_of, eventually):
    """403: forged with this shop's key elsewhere, nothing is stored, and the page there goes on."""
    async with open_shop("us", key_origins="demo=https://shop.example") as shop:
        page = await visit()
        console = console_of(page)
        await page.goto(shop.url())

        await shop_on(page)
        await sent(page)

        assert await eventually(lambda: console == ["refused"])
        assert await shop.stored() == {}


async def test_an_origin_the_gateway_does_not_know_is_no_error_on_the_page(open_shop, visit, console_of):
    """The browser forbids it and says so itself; the script keeps what it has, throws nothing and adds no line."""
    async with open_shop("us", cors_origins="https://shop.example") as shop:
        page = await visit()
        console = console_of(page)
        await page.goto(shop.url())

        for _ in range(2):
            async with page.expect_event("requestfailed"):
                await page.evaluate("cartmesh.flush()")
                await shop_on(page)

        assert await shop.stored() == {}
        assert (await page.evaluate("cartmesh.waiting"), console) == (6, [])


@pytest.mark.parametrize(
    "policy",
    ["script-src 'unsafe-inline'", "script-src 'unsafe-inline' http://127.0.0.1:*; connect-src 'none'"],
    ids=["script", "connection"],
)
async def test_a_page_whose_policy_forbids_the_script_or_its_gateway_goes_on(shop, visit, console_of, policy):
    """The browser says what its policy forbade; the script throws nothing and adds no line."""
    page, forbidden = await visit(), []
    console = console_of(page)
    page.on("console", lambda line: "Content Security Policy" in line.text and forbidden.append(line.text))
    shop.policy = policy
    await page.goto(shop.url())

    await shop_on(page)
    await page.evaluate("cartmesh.flush?.()")

    assert await page.evaluate("cartmesh.length || cartmesh.waiting") == 3
    assert await shop.stored() == {}
    assert (forbidden != [], console) == (True, [])
