"""A shop of two regions as a browser meets it: real Chromium, real HTTP, the mesh itself in memory."""

import asyncio
import contextlib
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import pytest
import pytest_asyncio
from litestar import Litestar, MediaType, Request, Response, get
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from playwright.async_api import TimeoutError as TooLong

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.order import OrderPlaced
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from mesh.runtime.tcp_proxy import TcpProxy
from services import gateway
from services.gateway.script import script

one_loop = partial(pytest_asyncio.fixture, loop_scope="session")
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A shop whose origin is not secure, as one on http is, unlike 127.0.0.1.
    "--host-resolver-rules=MAP shop.test 127.0.0.1",
)
LEFT = "cartmesh.waiting + Object.keys(localStorage).filter(name => name.split(':').length > 2).length"
STOREFRONT_EVENTS = (
    ProductViewed,
    ProductSearched,
    CartUpdated,
    CheckoutStarted,
    OrderPlaced,
    CustomerIdentified,
    ConsentChanged,
)
PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Shop</title>
<meta name="viewport" content="width=device-width"><style>html {{ color-scheme: light dark }}</style>
<script>window.cartmesh ||= []</script>{tags}</head>
<body><main><h1>Shop</h1><button id="buy">Buy</button></main></body></html>"""


def pytest_collection_modifyitems(items):
    """Without Chromium there is nothing to look at."""
    if CHROMIUM is None:
        skip = pytest.mark.skip(reason="no chromium on PATH: the browser script is not tried")
        for item in items:
            if "/tests/browser/" in str(item.path) and "chromium" in item.fixturenames:
                item.add_marker(skip)


@dataclass
class Shop:
    """The shop's web server, and its gateways behind lines that can be cut."""

    regions: MemoryMesh
    lines: dict[str, TcpProxy]
    meshes: dict[str, Mesh]
    port: int = 0
    tags: str = ""
    policy: str | None = None
    lang: str = "en"
    asked: list[str] = field(default_factory=list)

    def at(self, region: str) -> str:
        """A gateway's address, as browsers know it."""
        return f"http://127.0.0.1:{self.lines[region].port}"

    def tag(self, *names: str, **data: str) -> str:
        """A script tag; with several regions, the first is home and the shop serves the script itself."""
        names = names or ("us",)
        attributes = {"key": "demo", "region": names[0], **data}
        if len(names) > 1:
            attributes["regions"] = " ".join(f"{name}={self.at(name)}" for name in names)
        written = " ".join(f'data-{name}="{value}"' for name, value in attributes.items())
        source = f"{self.at(names[0])}/v1/cartmesh.js" if len(names) == 1 else "/cartmesh.js"
        return f'<script src="{source}" {written}></script>'

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        """A page of the shop; the host `shop.test` is it too, without what browsers keep for secure origins."""
        return f"http://{host}:{self.port}{path}"

    async def stored(self, *kinds) -> Counter[str]:
        """How often each event's id is stored, over all regions."""
        found = Counter()
        for mesh in self.meshes.values():
            async for received in mesh.read(*(kinds or STOREFRONT_EVENTS)):
                found[received.id.partition("-")[2]] += 1
        return found

    async def events_of(self, kind, region="us"):
        """The events of a kind that a region stored."""
        return [received async for received in self.meshes[region].read(kind)]


def _web(shop: Shop) -> Litestar:
    @get(["/", "/{path:path}"], media_type=MediaType.HTML)
    async def show_page(request: Request) -> Response[str]:
        shop.asked.append(request.url.path)
        headers = {"Content-Security-Policy": shop.policy} if shop.policy else {}
        return Response(PAGE.format(tags=shop.tags, lang=shop.lang), headers=headers, media_type=MediaType.HTML)

    @get("/cartmesh.js", media_type="text/javascript")
    async def serve_script() -> bytes:
        return script().plain

    return Litestar([show_page, serve_script], openapi_config=None, logging_config=None)


@one_loop(scope="session")
async def chromium():
    """One browser for all tests, which run in one event loop; each has its profiles for itself."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        expect.set_options(timeout=30_000)
        try:
            yield browser
        finally:
            await browser.close()


@one_loop()
async def visit(chromium: Browser):
    """A visitor: a browser profile of its own, and its first page; what pages throw fails the test."""
    thrown, contexts = [], []

    async def opened(**options) -> Page:
        context: BrowserContext = await chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        context.on("weberror", lambda error: thrown.append(str(error.error)))
        return await context.new_page()

    yield opened
    for context in contexts:
        await context.close()
    assert thrown == []


@pytest.fixture
def open_shop(monkeypatch):
    """Open a shop with these regions and settings; each gateway listens behind a line of its own."""

    @contextlib.asynccontextmanager
    async def opened(*names: str, **settings):
        names = names or ("us", "eu")
        for name, value in {"cors_origins": "*", "store_patience": "1s", "server_keys": "secret", **settings}.items():
            monkeypatch.setenv(f"CARTMESH_{name.upper()}", str(value))
        shop = Shop(regions=MemoryMesh(*names), lines={}, meshes={})
        parts = [contextlib.AsyncExitStack() for _ in range(len(names) + 1)]
        try:
            for part, name in zip(parts, names, strict=False):
                broker = shop.regions.broker(name)
                part.push_async_callback(broker.drain)
                mesh = shop.meshes[name] = Mesh(broker, "gateway", others=tuple(n for n in names if n != name))
                run = await part.enter_async_context(running(gateway.service, mesh, http=("127.0.0.1", 0)))
                line = shop.lines[name] = TcpProxy("127.0.0.1", run.port)
                await line.open()
                part.callback(line.close)
            shop.port = await parts[-1].enter_async_context(serving(_web(shop), "127.0.0.1", 0))
            shop.tags = shop.tag()
            yield shop
        finally:
            await asyncio.gather(*(part.aclose() for part in parts))

    return opened


@one_loop()
async def shop(open_shop):
    """The shop of two regions, us and eu."""
    async with open_shop() as opened:
        yield opened


@pytest.fixture
def sent():
    """Wait until a page has nothing left to send."""

    async def wait(page: Page) -> None:
        await page.wait_for_function("cartmesh.version && !cartmesh.waiting")

    return wait


@pytest.fixture
def settled(shop):
    """Visit until no page of this visitor has left anything; what one left that was killed is sent a minute later."""

    async def wait(page: Page) -> None:
        async with asyncio.timeout(150):
            while True:
                await page.goto(shop.url())
                with contextlib.suppress(TooLong):
                    return await page.wait_for_function(f"!({LEFT})", timeout=20_000)

    return wait


@pytest.fixture
def console_of():
    """Collect what the script writes to a page's console: the first word of each line after `cartmesh:`."""

    def listen(page: Page) -> list[str]:
        lines: list[str] = []
        message = re.compile(r"cartmesh: ([\w']+)")
        page.on("console", lambda line: lines.extend(message.findall(line.text)[:1]))
        return lines

    return listen
