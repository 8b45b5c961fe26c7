"""What examines pages in the other tests finds what is wrong with them."""

import pytest

from tests.pages import examine, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAGE = '<!doctype html><html lang="en"><title>Shop</title><main><h1>Shop</h1>{}</main></html>'


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ('<img src="data:,">', "image-alt"),
        ('<p style="color: #999; background: #fff">Half price</p>', "color-contrast"),
        ("<input>", "label"),
    ],
)
async def test_what_keeps_people_from_using_a_page_is_found(visit, part, rule):
    """By the name of axe-core's rule, with the element."""
    page = await visit()
    await page.set_content(PAGE.format(part))

    assert [found.split(":")[0] for found in await violations(page)] == [rule]


async def test_what_is_wider_than_the_window_is_found(visit):
    """And a page that is as it should be passes."""
    page = await visit()
    await page.set_content(PAGE.format("<p>Half price</p>"))
    await examine(page)
    await page.set_content(PAGE.format('<p style="width: 2000px">Half price</p>'))

    with pytest.raises(AssertionError):
        await examine(page, "too wide")
