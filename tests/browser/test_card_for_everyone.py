"""The offer card by the rules of axe-core (WCAG 2.2, levels A and AA): in its languages, light and dark."""

import pytest
from axe_playwright_python.async_playwright import Axe

from mesh.events.offer import Card, OfferSent

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINES = "[{product_id: 'sku-1', quantity: 1, price: {amount: 1299, currency: 'EUR'}}]"
WORDS = {
    "en": ("Your cart is waiting", "Take 10 % off Sencha and one more.", "Back to my cart"),
    "de": ("Ihr Warenkorb wartet", "10 % auf Sencha und ein weiteres Stück.", "Zum Warenkorb"),
    "ja": ("カートに商品が残っています", "煎茶ほか1点が10%引きになります。", "カートに戻る"),
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize(("scheme", "languages"), [("light", ("en", "de", "ja")), ("dark", ("en",))])
async def test_axe_finds_nothing_against_the_card(shop, visit, sent, scheme, languages):
    """With and without a coupon, on a wide and on a narrow window: no serious or critical finding, nor a lesser one."""
    page = await visit(color_scheme=scheme)
    await page.goto(shop.url())
    await page.evaluate(f"cartmesh.cart({LINES})")
    await sent(page)
    visitor_id = await page.evaluate("cartmesh.visitor")

    found = set()
    for lang in languages:
        title, body, action = WORDS[lang]
        for coupon, width in (("BACK-7K", 1280), (None, 390)):
            await page.set_viewport_size({"width": width, "height": 700})
            await page.evaluate("lang => { document.documentElement.lang = lang }", lang)
            card = Card(title=title, body=body, action=action, url="/cart", coupon=coupon)
            name = f"offer-{lang}-{width}"
            await shop.meshes["us"].publish(
                OfferSent(cart_id="c1", visitor_id=visitor_id, offer_id=name, channel="onsite", card=card)
            )
            dialog = page.get_by_role("dialog", name=title)
            await dialog.get_by_text("BACK-7K").wait_for(state="visible" if coupon else "detached")
            await dialog.wait_for()
            results = (await Axe().run(page, options=RULES)).response
            looked = {
                rule["id"] for rule in results["passes"] for node in rule["nodes"] if "cartmesh-offer" in str(node)
            }
            assert "color-contrast" in looked
            found |= {(name, rule["impact"], rule["id"]) for rule in results["violations"]}

    assert found == set()
