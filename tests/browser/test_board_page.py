"""The live board as people see it: the real service on a mesh in memory, in real Chromium."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.dead_letters import store_dead_letter
from mesh.events.cart import CartAbandoned, CartLine, CartRecovered, CartUpdated
from mesh.events.mesh import ConsumerLag, EventCount, MeshMeasured, ServiceReported, ServiceStarted, ServiceStopped
from mesh.events.offer import Check, OfferDecided, OfferSent
from mesh.events.user import Recommendation
from mesh.money import Money
from mesh.runtime.discovery import discover
from mesh.runtime.run import running
from mesh.runtime.tcp_proxy import TcpProxy
from services.operations import board
from tests.pages import violations

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAMES = ("us", "eu", "ap")
ZONES = {"us": "America/New_York", "eu": "Europe/Berlin", "ap": "Asia/Tokyo"}
EVIL = "<img src=x onerror='document.title=1'>" + "W" * 300
LINE = CartLine(product_id="p1", quantity=2, price=Money(amount=1299, currency="EUR"), name="Tea tin")
MOST_BYTES, MOST_REQUESTS = 80_000, 24


@dataclass
class Wall:
    """A board behind a line that can be cut, and the regions it shows."""

    line: TcpProxy
    meshes: dict[str, Mesh]
    headers: dict[str, str]
    silent: set[str] = field(default_factory=set)
    stopped: set[tuple[str, str]] = field(default_factory=set)
    stale: float = 0.4

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.line.port}/board"

    async def report(self):
        """Report all services of all regions, as their processes do."""
        services = [one.name for one in discover() if one.needs_process and not one.demo]
        since = datetime.now(UTC) - timedelta(hours=2)
        while True:
            for region, mesh in self.meshes.items():
                running = [name for name in services if (region, name) not in self.stopped]
                await mesh.publish(*(self._running(name, f"{name}-1", since) for name in running))
            await asyncio.sleep(5)

    async def stop(self, region, service):
        """Stop a service; it reports it."""
        self.stopped.add((region, service))
        await self.meshes[region].publish(
            ServiceStopped(service=service, instance=f"{service}-1", at=datetime.now(UTC))
        )

    async def start(self, region, service):
        """Start a service again, as another process."""
        now = datetime.now(UTC)
        began = ServiceStarted(service=service, instance=f"{service}-2", machine="host-1", at=now)
        await self.meshes[region].publish(began, self._running(service, f"{service}-2", now))

    def _running(self, service, instance, since):
        now = datetime.now(UTC)
        return ServiceReported(service=service, instance=instance, machine="host-1", since=since, at=now)

    async def measure(self):
        """Say twice a second how each region is, as `watch` does."""
        took = 0
        while True:
            took += 7
            for name, mesh in self.meshes.items():
                if name not in self.silent:
                    await mesh.publish(self._measured(name, took))
            await asyncio.sleep(0.5)

    def _measured(self, name, took):
        waiting = 12 if name == "us" else 0
        return MeshMeasured(
            region=name,
            at=datetime.now(UTC),
            nodes=3,
            nodes_up=3,
            event_counts=(EventCount(type="interaction.product_viewed", total=took, last_hour=40),),
            consumers=(
                ConsumerLag(
                    stream=f"COMMERCE_{name}",
                    durable="scoring-score-cart",
                    pending=waiting,
                    ack_pending=3,
                    redelivered=1,
                ),
            ),
            staleness={other: self.stale for other in NAMES if other != name},
            dead_letters=0,
        )

    async def leave(self, cart, *, outcome="approved", reason="", name="Tea tin"):
        """A cart that is filled, left and decided on; a sent offer is mailed and won back."""
        mesh, now = self.meshes["us"], datetime.now(UTC)
        who = {"cart_id": cart, "visitor_id": "v1"}
        total = LINE.price * 2
        await mesh.publish(CartUpdated(lines=(LINE,), **who))
        await mesh.publish(CartAbandoned(lines=(LINE,), total=total, left_at=now, due=now, **who))
        checks = (Check(name="consent", passed=outcome == "approved", value=name),)
        decided = OfferDecided(
            offer_id=f"offer-{cart}",
            abandonment_id=f"left-{cart}",
            attempt=1,
            outcome=outcome,
            reason=reason,
            checks=checks,
            journey="abandoned-cart",
            due=now,
            held_until=now + timedelta(hours=8) if outcome == "held" else None,
            channels=("email",) if outcome == "approved" else (),
            discount_percent=10 if outcome == "approved" else 0,
            lines=(CartLine(product_id="p1", quantity=2, price=LINE.price, name=name),),
            recommended=(Recommendation(product_id="p2", name="Whisk", reason="viewed together by 41 shoppers"),),
            total=total,
            propensity=0.21,
            **who,
        )
        await mesh.publish(decided)
        if outcome == "approved":
            await mesh.publish(OfferSent(offer_id=f"offer-{cart}", channel="email", message_id="m", **who))
            await mesh.publish(CartRecovered(order_id=f"o-{cart}", offer_id=f"offer-{cart}", value=total, **who))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wall(signed_in):
    """Three regions, of which `us` has the board."""
    regions = MemoryMesh(*NAMES)
    async with AsyncExitStack() as stack:
        meshes = {}
        for name in NAMES:
            broker = regions.broker(name)
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, "watch", others=tuple(other for other in NAMES if other != name))
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        mesh = Mesh(broker, "board", others=("eu", "ap"), zones=ZONES)
        run = await stack.enter_async_context(running(board.service, mesh, http=("127.0.0.1", 0)))
        line = TcpProxy("127.0.0.1", run.port)
        await line.open()
        stack.callback(line.close)
        opened = Wall(line, meshes, await signed_in(mesh))
        for task in (opened.measure(), opened.report()):
            stack.push_async_callback(_ended, asyncio.create_task(task))
        await opened.leave("c1")
        await opened.leave("c2", outcome="dropped", reason="no consent")
        await opened.leave("c3", outcome="held", reason="quiet hours", name=EVIL)
        yield opened


async def _ended(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_page_shows_what_the_streams_say(wall, visit):
    """Regions, rates, queues, the funnel with its money, and each offer with its checks and its fate."""
    page = await visit(extra_http_headers=wall.headers, viewport={"width": 1280, "height": 900})

    await page.goto(wall.url)

    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.locator("#map .node .name")).to_have_text(["us · here", "eu", "ap"])
    await expect(page.locator("#links-summary")).to_contain_text("All links are fresh")
    funnel = page.locator("#funnel li")
    await expect(funnel.locator(".count")).to_have_text(["120", "3", "3", "1", "1"])
    await expect(funnel.last.locator(".money")).to_have_text("€25.98")
    await expect(page.locator("#lags tr").first).to_contain_text("scoring-score-cart")
    await expect(page.locator("#rates .tile").first).to_contain_text("interaction")
    offer = page.locator("#offers .offer", has_text="2 x Tea tin").filter(has_text="Recovered")
    await offer.locator("summary").click()
    await expect(offer.locator(".checks")).to_contain_text("consent")
    await expect(offer).to_contain_text("viewed together by 41 shoppers")
    await expect(page.locator("#dead-empty")).to_be_visible()


async def test_a_service_that_does_not_run_is_named_and_its_restart_counted(wall, visit):
    """On the page's head, among the figures and in its region's column; started again, all is well."""
    page = await visit(extra_http_headers=wall.headers)
    await page.goto(wall.url)
    row = page.locator("#services-table tr", has_text="scoring")
    await expect(row.locator("td")).to_have_text(["2 h ", "2 h ", "2 h "])
    await expect(page.locator("#missing")).to_be_hidden()

    await wall.stop("eu", "scoring")
    await expect(page.locator("#missing-words")).to_contain_text("scoring in eu (last report")
    await expect(row.locator("td").nth(1)).to_have_text("not running ")
    await expect(page.locator("#figure-services")).to_contain_text("scoring in eu")
    await wall.start("eu", "scoring")

    await expect(page.locator("#missing")).to_be_hidden()
    await expect(row.locator("td").nth(1)).to_contain_text("1 restart")
    await expect(page.locator("#figure-restarts .value")).to_have_text("1")
    await page.locator("#instances summary").click()
    instance = page.locator("#instances-list li", has_text="scoring · eu")
    await expect(instance).to_have_text(re.compile("^scoring · eu · host-1 · since .* · scoring-2$"))


async def test_a_link_to_a_decision_opens_it(wall, visit):
    """What the inbox links to, whatever was decided since; of one that is not there it is said."""
    page = await visit(extra_http_headers=wall.headers)

    await page.goto(f"{wall.url}?offer=offer-c2")
    await expect(page.locator("#offers details[open]")).to_contain_text("no consent")
    await page.goto(f"{wall.url}?offer=nobody")

    await expect(page.locator("#offers-wanted")).to_contain_text("nobody")


async def test_words_of_events_are_never_markup(wall, visit):
    """What a shopper or a shop wrote is text, however long, and breaks no layout."""
    page = await visit(extra_http_headers=wall.headers, viewport={"width": 390, "height": 844})

    await page.goto(wall.url)

    held = page.locator("#offers .offer[data-outcome=held]")
    await held.locator("summary").click()
    await expect(held.locator(".checks")).to_contain_text("<img src=x")
    assert await page.locator("main img").count() == 0
    assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_a_telephone_shows_the_head_in_one_line_and_the_offers_first(wall, visit):
    """No band of nothing round the map, and each chart names its lines once."""
    page = await visit(extra_http_headers=wall.headers, viewport={"width": 390, "height": 844})

    await page.goto(wall.url)
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.locator("#rates .tile")).not_to_have_count(0)

    head, live, offers, mesh, world = [
        await page.locator(one).bounding_box() for one in (".status h1", "#connection", ".offers", ".mesh", "#map")
    ]
    assert head["y"] < live["y"] + live["height"] / 2 < head["y"] + head["height"]
    assert offers["y"] < mesh["y"]
    assert world["height"] <= 0.65 * world["width"]
    assert await page.locator("#rates .tile .legend").count() == 0


async def test_a_regions_colour_is_its_own(wall, visit):
    """However many regions there are: the two of a smaller mesh look as they do among three."""
    page = await visit(extra_http_headers=wall.headers)
    await page.goto(wall.url)
    await expect(page.locator("#map .node")).to_have_count(3)

    places = await page.evaluate(
        """async () => {
          const modules = [...document.querySelectorAll('link[rel=modulepreload]')]
          const { href } = modules.find(one => /colours/.test(one.href))
          const found = []
          for (const names of [['us'], ['us', 'eu'], ['us', 'eu', 'ap']]) {
            const { share, place } = await import(`${href}?${names.length}`)
            share(names)
            found.push(Object.fromEntries(names.map(name => [name, place(name)])))
          }
          return found
        }"""
    )

    one, two, three = places
    assert three == three | two | one
    assert len(set(three.values())) == 3


async def test_offers_can_be_narrowed_down_and_held_still(wall, visit):
    """A filter shows one outcome; paused, what is new waits until it is wanted."""
    page = await visit(extra_http_headers=wall.headers)
    await page.goto(wall.url)
    shown = page.locator("#offers .offer:visible")
    await expect(shown).not_to_have_count(0)

    await page.get_by_role("radio", name="Dropped").check()
    await expect(page.locator("#offers .offer[data-outcome=approved]:visible")).to_have_count(0)
    await page.get_by_role("button", name="Pause").click()
    before = await page.locator("#offers .offer").count()
    await wall.leave("c9", outcome="dropped", reason="holdout")
    await expect(page.locator('#funnel [data-stage="carted"] .count')).to_have_text("4")
    assert await page.locator("#offers .offer").count() == before
    await page.get_by_role("button", name="Resume").click()

    await expect(page.locator("#offers .offer:visible", has_text="holdout")).to_have_count(1)


async def test_a_dead_letter_says_what_to_do(wall, visit, eventually):
    """With its reason and the commands that show it and drive it again."""
    page = await visit(extra_http_headers=wall.headers)
    await page.goto(wall.url)
    us = wall.meshes["us"]
    (message,) = [one async for one in us.broker.read("COMMERCE_us", ["ev.us.cart.updated.c1"])]

    await store_dead_letter(us, "carts", "carts-abandon-cart", message, "the total is in two currencies")

    dead_letter = page.locator("#dead li")
    await expect(dead_letter).to_contain_text("the total is in two currencies")
    await expect(dead_letter.locator("code").first).to_contain_text("cartmesh dead show")


async def test_a_region_that_falls_silent_is_seen(wall, visit):
    """Its figures are called old, by a text and a sign, not by colour alone; once it reports again they are current."""
    page = await visit(extra_http_headers=wall.headers)
    await page.goto(wall.url)
    await expect(page.locator("#links-summary")).to_contain_text("All links are fresh")

    wall.silent.add("ap")
    await expect(page.locator("#unknown-words")).to_contain_text("ap has not reported")
    await expect(page.locator("#map .node", has_text="ap")).to_have_attribute("data-silent", "")
    await expect(page.locator("#map .node", has_text="ap").locator(".servers")).to_have_text("servers not known")
    await expect(page.locator("#figure-servers .value")).to_have_text("6/9")
    wall.silent.clear()

    await expect(page.locator("#unknown")).to_be_hidden()


async def test_a_board_that_is_lost_says_so_and_comes_back(wall, visit):
    """The last picture stays, marked as old, until the board answers again."""
    page = await visit(extra_http_headers=wall.headers)
    await page.goto(wall.url)
    await expect(page.locator("#connection")).to_have_text("Live")

    wall.line.cut()
    await expect(page.locator("#connection")).to_contain_text("Reconnecting")
    await expect(page.locator("body[data-stale]")).to_have_count(1)
    wall.line.heal()

    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.locator("body[data-stale]")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.drill)])
async def test_everyone_can_read_it(wall, visit, scheme):
    """axe-core finds nothing, wide or narrow; nothing is cut off; the console is silent."""
    said = []
    page = await visit(extra_http_headers=wall.headers, color_scheme=scheme)
    page.on("console", lambda line: said.append(line.text))

    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.goto(wall.url)
        await expect(page.locator("#offers .offer")).not_to_have_count(0)
        await page.locator("#offers .offer summary").first.click()
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width

    assert said == []


async def test_the_page_is_light(wall, visit):
    """All of it, with uPlot, comes in few bytes and requests; the second time nearly nothing."""
    page, came = await visit(extra_http_headers=wall.headers), []
    page.on("requestfinished", lambda request: came.append(request))  # noqa: PLW0108  it marks what it is given

    await page.goto(wall.url)
    await expect(page.locator("#connection")).to_have_text("Live")

    answers = [(request, await request.response()) for request in came if not request.url.endswith("/live")]
    size = sum([int(answer.headers["content-length"]) for _, answer in answers])
    print(f"{size:,} bytes in {len(answers)} requests")
    assert size <= MOST_BYTES
    assert len(answers) <= MOST_REQUESTS
