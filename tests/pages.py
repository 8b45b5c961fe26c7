"""What tests do with pages in a real browser: sign somebody in, and let axe-core examine what they see."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from mesh import Mesh
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions

SIZES = (("light", 1280), ("dark", 390))
"""A scheme of colours, and a width in CSS pixels."""
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""WCAG 2.2, levels A and AA, and what axe-core recommends."""
ENDED = ("htmx:sendAbort,", "htmx:afterRequest,")
"""What htmx writes of a request under way when its page is left."""
# Only what is wrong is collected: a list of everything that is right takes a second per page.
AXE = """rules => axe
    .run({ runOnly: rules, resultTypes: ['violations'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`))"""


def listen(page: Page, logged: list[str]) -> None:
    """Add what the page writes to the browser's console to `logged`, but for requests that leaving a page ended."""
    page.on("console", lambda line: None if line.text.startswith(ENDED) else logged.append(line.text))


async def sign_in(page: Page, mesh: Mesh, url: str, role: str, name: str = "Ada") -> None:
    """Give the browser of a page a session of a new account with a role, in the console of the mesh's region."""
    account = Account(
        id=name.lower(), email=f"{name.lower()}@example.com", name=name, roles=(role,), created=datetime.now(UTC)
    )
    await mesh.state(ACCOUNTS).put(account.id, account)
    token = await Sessions(mesh).begin(account.id, agent="test", lasting=timedelta(hours=1))
    await page.context.add_cookies([{"name": f"cartmesh-{mesh.region}-session", "value": token, "url": url}])


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page as it is: each rule, and the first element that breaks it."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(Axe().axe_script)
    return await page.evaluate(AXE, RULES)


async def examine(page: Page, name: str = "", sizes: tuple[tuple[str, int], ...] = SIZES, height: int = 900) -> None:
    """axe-core finds nothing in these sizes, and nothing is wider than the window, which is as high as given.

    With CARTMESH_SCREENSHOTS set to a folder, each size is kept there as a picture.
    """
    name = name or page.url
    for scheme, width in sizes:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        if folder := os.environ.get("CARTMESH_SCREENSHOTS"):
            file = "".join(letter if letter.isalnum() else "-" for letter in name)
            await page.screenshot(path=Path(folder) / f"{file}-{scheme}-{width}.png", full_page=True)
        assert await violations(page) == [], name
        assert await page.evaluate("document.documentElement.scrollWidth") == width, name
