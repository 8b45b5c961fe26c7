"""What the browser script promises a shop's page."""

from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed

LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"


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
    (viewed,), (updated,) = await shop.told(ProductViewed), await shop.told(CartUpdated)
    assert (viewed.event.brand, viewed.event.utc_offset) == ("Acme", 540)
    assert viewed.event.visitor_id == updated.event.visitor_id == await page.evaluate("cartmesh.visitor")
    assert viewed.event.session_id == updated.event.session_id is not None


async def test_a_page_that_closes_at_once_loses_nothing(shop, visit, eventually):
    """What was said in the last moment arrives although nobody is there any more."""
    page = await visit()
    await page.goto(shop.url())

    made = await page.evaluate("[cartmesh.view('sku-1'), cartmesh.view('sku-2')]")
    await page.close()

    async def arrived():
        return await shop.stored() == dict.fromkeys(made, 1)

    assert await eventually(arrived)
