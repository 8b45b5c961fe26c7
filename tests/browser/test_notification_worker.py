"""Notifications in real Chromium: the shop's service worker shows what is pushed, and a page reports its subscription.

Chromium reaches no push service here: what one would deliver is given to the browser by the DevTools protocol.
"""

import json
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.customer import ConsentChanged, PushSubscribed
from mesh.runtime.run import running
from notifications.channels.push.vapid import new_keys
from services import gateway
from services.demo import storefront
from tests.pages import violations
from tests.push_service import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")
SHOWN = """async () => {
  const registration = await navigator.serviceWorker.ready
  const shown = await registration.getNotifications()
  return shown.map(({ title, body, tag, data }) => ({ title, body, tag, url: data.url }))
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop():
    """A shop that offers notifications, and its gateway: the shop's address, and the mesh."""
    regions, patched = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patched.undo)

        async def opened(service):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            run = running(service, Mesh(broker, service.name), http=("127.0.0.1", 0))
            return f"http://127.0.0.1:{(await stack.enter_async_context(run)).port}"

        patched.setenv("CARTMESH_CORS_ORIGINS", "*")
        patched.setenv("CARTMESH_PUSH_PUBLIC_KEY", new_keys()[1])
        patched.setenv("CARTMESH_URL_GATEWAY", at := await opened(gateway.service))
        patched.setenv("CARTMESH_URLS_GATEWAY", f"us={at}")
        url = await opened(storefront.service)
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        yield url, Mesh(broker, "test")


async def signed_in(visit, url, **options):
    """A page of the account, of a shopper who accepted and signed in."""
    page = await visit(locale="en-US", **options)
    await page.goto(f"{url}/en/account")
    await page.get_by_role("button", name="Accept", exact=True).click()
    await page.get_by_label("E-mail").fill("ada@example.com")
    await page.get_by_role("button", name="Sign in").click()
    return page


async def test_the_worker_shows_what_is_pushed_and_a_later_offer_in_its_place(shop, visit, eventually):
    """As encrypted messages arrive in it decrypted; with the policy of the shop's pages."""
    page = await signed_in(visit, shop[0], permissions=["notifications"])
    line = await page.context.new_cdp_session(page)
    registrations = []
    line.on("ServiceWorker.workerRegistrationUpdated", lambda told: registrations.extend(told["registrations"]))
    await line.send("ServiceWorker.enable")
    await page.evaluate(
        "navigator.serviceWorker.register('/cartmesh-worker.js').then(() => navigator.serviceWorker.ready)"
    )
    await eventually(lambda: registrations)

    async def deliver(data):
        given = {"origin": shop[0], "registrationId": registrations[-1]["registrationId"], "data": data}
        await line.send("ServiceWorker.deliverPushMessage", given)

    offer = {"title": "10% off your cart", "body": "Lamp", "tag": "t1", "lang": "de_DE", "url": f"{shop[0]}/cart/c1"}

    async def shown_after(title):  # a browser that is busy starting its worker may drop what is delivered meanwhile
        await deliver(json.dumps({**offer, "title": title}))
        found = await page.evaluate(SHOWN)
        return found if [one["title"] for one in found] == [title] else None

    await eventually(lambda: shown_after("10% off your cart"))
    await deliver("no JSON")
    (shown,) = await eventually(lambda: shown_after("15% off your cart"))
    assert shown == {"title": "15% off your cart", "body": "Lamp", "tag": "t1", "url": f"{shop[0]}/cart/c1"}


async def test_a_page_reports_its_subscription_and_what_is_none_is_refused(shop, visit, eventually):
    """Where notifications go to and for which keys; whoever invents an endpoint of another kind is not heard."""
    url, mesh = shop
    page = await signed_in(visit, url)
    fields = Browser("https://fcm.googleapis.com/fcm/send/abc").fields
    for wrong in ({"endpoint": "http://192.168.0.1/"}, {"endpoint": "https://"}, {"p256dh": "AAAA"}, {"auth": "AAAA"}):
        await page.evaluate("fields => { cartmesh.subscribed(fields) }", {**fields, **wrong})
    await page.evaluate("fields => { cartmesh.subscribed(fields) }", fields)
    await page.evaluate("cartmesh.consent('push', true, { where: '/en/account' })")
    visitor = await page.evaluate("cartmesh.visitor")

    (consent,) = await eventually(lambda: _of(mesh, ConsentChanged, visitor))
    (told,) = await _of(mesh, PushSubscribed, visitor)
    assert (consent.channel, consent.granted, consent.where) == ("push", True, "/en/account")
    assert {name: getattr(told, name) for name in fields} == fields


async def _of(mesh, kind, visitor):
    found = [one.event async for one in mesh.read(kind) if one.event.visitor_id == visitor]
    return [one for one in found if getattr(one, "channel", "push") == "push"]


@pytest.mark.parametrize(("scheme", "width"), [("dark", 390), ("light", 1280)])
async def test_the_shop_asks_on_the_accounts_page_and_says_where_the_browser_forbids_it(shop, visit, scheme, width):
    """By keyboard, narrow and wide, light and dark."""
    page = await signed_in(visit, shop[0], color_scheme=scheme, viewport={"width": width, "height": 900})
    ask = page.get_by_role("button", name="Show me notifications")
    await expect(ask).to_be_visible()
    await page.evaluate("Notification.requestPermission = async () => 'denied'")
    await ask.press("Enter")
    await expect(page.get_by_text("This browser does not allow notifications here.")).to_be_visible()
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == width
