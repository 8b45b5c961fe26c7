"""The mail of an offer as wide as a phone shows it."""

from datetime import UTC, datetime

import pytest

from notifications.render_pool import RenderSettings, open_render_pool
from notifications.sample import sample
from notifications.template_variables import Shop, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
EDGES = """found => found.map(one => {
  const {left, right, top} = one.getBoundingClientRect()
  return [Math.round(left), Math.round(right), Math.round(top)]
})"""


async def test_recommended_products_have_the_mails_whole_width(visit):
    """At 390 pixels they stand below each other, from edge to edge as the button does, and nothing is cut off."""
    decided, profile = sample("en")
    variables = template_variables(
        decided, profile, Shop(), left_at=datetime(2026, 11, 20, tzinfo=UTC), unsubscribe_url="https://shop.test/u"
    )
    async with open_render_pool(RenderSettings()) as pool:
        mail = await pool.render(
            template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"]), "en", variables
        )
    page = await visit(viewport={"width": 390, "height": 800})

    await page.set_content(mail.html)

    (button,) = await page.locator(".button td[role=presentation]").evaluate_all(EDGES)
    pictures = await page.locator("td.picture").evaluate_all(EDGES)
    words = await page.locator("td.words").evaluate_all(EDGES)
    assert len(pictures) == len(words) == 3
    assert {left for left, _, _ in pictures} == {button[0]}
    assert {right for _, right, _ in words} == {button[1]}
    assert len({top for _, _, top in pictures}) == 3
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
