"""The overview and the decisions as marketers see them: real Chromium, from a number to one decision's reason."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned, CartLine, CartRecovered, CartScored, CartUpdated
from mesh.events.offer import (
    Assignment,
    Check,
    OfferClaimed,
    OfferClicked,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferSent,
    OfferWithdrawn,
)
from mesh.events.user import Reason
from mesh.profiles import read_profile
from mesh.runtime.run import running
from notifications.exact_sums import total
from notifications.studio import service as studio
from notifications.studio.decision_pages.figures import EVERY, read_days
from services import console
from services.identity import service as identity
from tests.pages import SIZES, examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAGES = (
    "/overview",
    "/overview?days=30",
    "/overview?days=365",
    "/decisions",
    "/decisions?q=nobody",
    "/decisions/c1",
    "/decisions/c4",
)
TOTAL = Money(amount=12900, currency="EUR")
LINES = (
    CartLine(product_id="lamp", quantity=1, price=Money(amount=8900, currency="EUR"), name="Brass desk lamp"),
    CartLine(product_id="bulb", quantity=2, price=Money(amount=2000, currency="EUR"), name="Warm bulb"),
)
NO_CONSENT = Check(name="consent", passed=False, value="email: refused", channel="email")
CHECKS = (
    Check(name="cart", passed=True, value="unchanged since it was left"),
    Check(name="in time", passed=True, value="0.4 s after it was due"),
    Check(name="value", passed=True, value="129.00 EUR of at least 20.00"),
    Check(name="identified", passed=True, value="e-mail known", channel="email"),
    Check(name="consent", passed=True, value="email: granted", channel="email"),
    Check(name="consent", passed=True, value="onsite: never asked, assumed", channel="onsite"),
    Check(name="holdout", passed=True, value="not in the 5% held out"),
    Check(name="worth it", passed=True, value="10 %: 31.2% buy instead of 28.0%, +0.42 EUR margin"),
    Check(name="frequency cap", passed=True, value="0 of 2 in 7 d"),
    Check(name="quiet hours", passed=True, value="14:05 in Europe/Berlin, quiet 21:00-08:00"),
)


@dataclass
class House:
    """A region's console, with the studio behind it."""

    url: str
    mesh: Mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(eventually):
    regions, patch = MemoryMesh("us", "eu"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        meshes = {}
        for name in ("studio", "console", "identity"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name, others=("eu",))
        await stack.enter_async_context(running(identity, meshes["identity"]))
        pages = await stack.enter_async_context(running(studio, meshes["studio"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        await _shop(meshes["console"])
        await eventually(lambda: _counted(meshes["console"]))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"])


async def _shop(mesh):
    """Twelve carts of the last days: sent and recovered, deferred and failed, withdrawn, held, and dropped."""
    now = datetime.now(UTC)
    for number in range(1, 13):
        cart, due = f"c{number}", now - timedelta(days=number % 5)
        offer = {"cart_id": cart, "offer_id": f"offer-{number}"}
        await mesh.publish(CartUpdated(cart_id=cart, visitor_id=f"v{number}", lines=LINES))
        left = due - timedelta(minutes=30)
        await mesh.publish(
            CartAbandoned(cart_id=cart, visitor_id=f"v{number}", lines=LINES, total=TOTAL, left_at=left, due=due)
        )
        await mesh.publish(
            CartScored(
                cart_id=cart,
                visitor_id=f"v{number}",
                abandonment_id="a",
                propensity=0.28,
                model_version="propensity-7",
                reasons=(Reason(text="third visit this week", weight=0.61), Reason(text="dear cart", weight=-0.22)),
                recommended=(),
            )
        )
        await mesh.publish(_decided(number, due))
        if number % 4 == 1:
            await mesh.publish(OfferClaimed(**offer, channel="email", attempt=1, journey="abandoned-cart"))
            if number == 5:
                until = now + timedelta(minutes=5)
                await mesh.publish(
                    OfferDeferred(**offer, channel="email", attempt=1, reason="the mail server is busy", until=until)
                )
                await mesh.publish(OfferFailed(**offer, channel="email", reason="the address does not exist"))
                continue
            if number == 9:
                await mesh.publish(OfferWithdrawn(**offer, channel="email", reason="unsubscribed before it was sent"))
                continue
            visitor = {"visitor_id": f"v{number}"}
            await mesh.publish(OfferSent(**offer, **visitor, channel="email", journey="abandoned-cart"))
            await mesh.publish(OfferClicked(**offer, **visitor, channel="email"))
            await mesh.publish(CartRecovered(**offer, **visitor, order_id=f"o{number}", value=TOTAL))


def _decided(number, due):
    """Of four carts one is approved, one held, and two are dropped for different reasons."""
    quiet = Check(name="quiet hours", passed=False, value="22:41 in Europe/Berlin, quiet 21:00-08:00")
    closed = Check(name="identified", passed=False, value="no e-mail known", channel="email")
    outcome, reason, failed = (
        ("dropped", "no consent", NO_CONSENT),
        ("approved", "", None),
        ("held", "quiet hours", quiet),
        ("dropped", "no e-mail address", closed),
    )[number % 4]
    others = [one for one in CHECKS if failed is None or (one.name, one.channel) != (failed.name, failed.channel)]
    known = [one for one in others if failed is None or one.channel in (None, "email")]
    return OfferDecided(
        cart_id=f"c{number}",
        visitor_id=f"v{number}",
        offer_id=f"offer-{number}",
        abandonment_id="a",
        attempt=1,
        outcome=outcome,
        reason=reason,
        checks=(*known, failed) if failed else CHECKS,
        journey="abandoned-cart" if number % 3 else "spring-sale",
        journey_revision=3,
        template="abandoned-cart" if outcome == "approved" else None,
        template_revision=2,
        due=due,
        held_until=datetime.now(UTC) + timedelta(hours=9) if outcome == "held" else None,
        channels=("email", "onsite") if outcome == "approved" else (),
        discount_percent=10 if outcome == "approved" else 0,
        lines=LINES,
        total=TOTAL,
        model_version="propensity-7",
        propensity=0.28,
        assignment=Assignment(arm="10", probability=0.95, eligible=outcome == "approved"),
    )


async def _counted(mesh):
    """Whether the overview has everything, and visitors' carts are known."""
    days = [datetime.now(UTC).date() - timedelta(days=back) for back in range(6)]
    found = await read_days(mesh, ("us",), days)
    figures = total(journeys[EVERY] for journeys in found.values())
    counted = [figures.get(name) for name in ("evaluated", "failed", "withdrawn", "recovered")]
    return counted == [12, 1, 1, 1] and (await read_profile(mesh, "v3")).carts == ("c3",)


async def test_a_marketer_comes_from_the_overview_to_the_reason_of_one_decision(house, visit):
    """From the number of those dropped, over the list, to the check that stopped the offer of one cart."""
    page = await visit()
    await sign_in(page, house.mesh, house.url, "marketer")
    await page.goto(f"{house.url}/console")

    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Overview").click()
    await expect(page.locator(".tiles")).to_contain_text("Carts evaluated12")
    await page.get_by_role("link", name="No e-mail address is known").click()
    await expect(page.get_by_label("Reason")).to_have_value("no e-mail address")
    await page.get_by_role("link", name="c3", exact=True).click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Cart c3")
    stopped = page.locator(".checks li", has_text="stopped it").first
    await expect(stopped).to_contain_text("no e-mail known")
    await expect(page.get_by_role("link", name="spring-sale, revision 3")).to_have_attribute(
        "href", "/journeys/spring-sale/history"
    )
    await page.get_by_role("link", name="v3").click()
    await expect(page.get_by_role("status")).to_contain_text("1 cart belongs to v3")


@pytest.mark.timeout(600)
async def test_everyone_can_read_it(house, visit):
    """axe-core finds nothing on any page, wide and light or narrow and dark, and nothing is cut off."""
    logged = []
    page = await visit()
    listen(page, logged)
    await sign_in(page, house.mesh, house.url, "viewer")
    for at, path in enumerate(PAGES):
        await page.goto(house.url + path)
        await examine(page, path, SIZES if at in (0, len(PAGES) - 1) else SIZES[at % 2 :][:1])

    assert logged == []
