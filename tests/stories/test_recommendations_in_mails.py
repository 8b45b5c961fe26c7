"""Mails that recommend: the demo shop's past, the real scorer, a shopper to win back and one who only looked."""

import asyncio
import os
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.trigger import TriggerChecked
from mesh.profiles import read_profile
from mesh.runtime.run import running
from ml.scoring.service import service as scoring
from notifications.channels.service import service as channels
from notifications.documents.publishing import publish
from notifications.inbox.server import inbox
from notifications.journeys.kind import JOURNEYS, files_of
from notifications.offers import service as offers
from notifications.triggers.found import subject_of
from services.demo.storefront import service as storefront
from services.demo.storefront.catalogue import find, products
from services.demo.storefront.seeding import Seeding
from services.gateway import service as gateway
from services.identity import service as identity

SERVER = "the-shops-own-server-key"
BASE = 'channels = ["email"]\nquiet = ""\nholdout = 0\ndiscount_percent = 10\ntemplate = "{}"\ntrigger = "{}"\n'
JOURNEYS_ON = {
    "abandoned-cart": 'template = "abandoned-cart"\nactive = false\n',
    "win-back": BASE.format("win-back", "no order since") + 'trigger_after = "1s"\n',
    "browse": BASE.format("browse-abandoned", "browse abandoned") + 'trigger_after = "1s"\n',
}


@pytest.fixture
async def shop(monkeypatch, tmp_path, eventually):
    """A region with a gateway, scoring, decisions, mails and a shop that has told its catalogue and its past."""
    region = MemoryMesh("us")
    settings = {
        "CARTMESH_SERVER_KEYS": SERVER,
        "CARTMESH_STORE_PATIENCE": "20s",
        "CARTMESH_SHOP_PAST": "true",
        "CARTMESH_SHOP_URL": "https://tea.example",
        "CARTMESH_TRIGGER_CHECK": "200ms",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:

        async def run(service, **more):
            return await stack.enter_async_context(running(service, Mesh(region.broker("us"), service.name), **more))

        box = await stack.enter_async_context(inbox(tmp_path))
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        http = {"http": ("127.0.0.1", 0)}
        url = f"http://127.0.0.1:{(await run(gateway, **http)).port}"
        monkeypatch.setenv("CARTMESH_URL_GATEWAY", url)
        await run(scoring)
        pages = await run(storefront, **http)
        await asyncio.wait_for(pages.provided[Seeding].done.wait(), 60)
        for service in (identity, offers, channels):
            await run(service)
        mesh = Mesh(region.broker("us"), "studio")
        for name, text in JOURNEYS_ON.items():
            await publish(JOURNEYS, name, files_of(text), "author", mesh)
        for name in ("win-back", "browse"):
            await eventually(lambda name=name: mesh.last(TriggerChecked, name))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))
        yield Shop(client, mesh, box, eventually)


class Shop:
    """What shoppers do, and the mails that they get."""

    def __init__(self, client, mesh, box, eventually):
        self.client, self.mesh, self.box, self.eventually, self.sent = client, mesh, box, eventually, 0

    async def send(self, type_, key="demo", **fields):
        self.sent += 1
        at = datetime.now(UTC).isoformat()
        body = {"events": [{"id": f"e-{self.sent}", "type": type_, "time": at, **fields}]}
        answer = await self.client.post("/v1/events", json=body, headers={"authorization": f"Bearer {key}"})
        assert answer.json().get("rejected") == [], answer.text

    async def identified(self, visitor, name):
        fields = {"visitor_id": visitor, "email": f"{visitor}@example.test", "name": name}
        await self.send("customer_identified", key=SERVER, **fields)
        await self.send("consent_changed", visitor_id=visitor, channel="email", granted=True)

        async def known():
            return (await read_profile(self.mesh, visitor)).names

        await self.eventually(known)

    async def viewed(self, visitor, *names):
        for name in names:
            await self.send("product_viewed", visitor_id=visitor, session_id=visitor, product_id=name)

    async def mail(self, visitor):
        """The HTML of the one mail that a shopper got, once it is there; kept where screenshots are."""

        def mails():
            return [one for one in self.box.mails if f"{visitor}@example.test" in one.recipients]

        await self.eventually(mails)
        (mail,) = mails()
        content = self.box.opened(mail).get_body(("html",)).get_content()
        if folder := os.environ.get("CARTMESH_SCREENSHOTS"):
            (Path(folder) / f"mail-{visitor}.html").write_text(content)
        return content


def recommended(page):
    """The product of each link to a recommended product, by where it stands."""
    links = [urlsplit(unescape(one)) for one in re.findall(r'href="([^"]+)"', page)]
    tags = [(link, parse_qs(link.query).get("cartmesh", [""])[0].split(".", 4)) for link in links]
    return {int(tag[3]): (tag[4], link) for link, tag in tags if len(tag) == 5}


async def test_mails_recommend_what_the_shop_would(shop):
    """Side by side, as both wait for a look at the log."""
    await asyncio.gather(
        who_is_won_back_is_shown_what_the_shop_would_show_them(shop), who_looked_is_shown_other_products_as_well(shop)
    )


async def who_is_won_back_is_shown_what_the_shop_would_show_them(shop):
    """What goes with what they looked at, with pictures, prices in the order's currency and why; no product twice."""
    await shop.identified("ida", "Ida")
    await shop.viewed("ida", "matcha-asahi", "chawan-kohiki", "scoop")
    price = {"amount": 2400, "currency": "EUR"}
    lines = [{"product_id": "matcha-asahi", "quantity": 1, "price": price}]
    await shop.send("order_placed", visitor_id="ida", order_id="o-ida", lines=lines, total=price)

    page = await shop.mail("ida")

    shown = recommended(page)
    assert list(shown) == [1, 2, 3]
    assert len({product for product, _ in shown.values()}) == 3
    assert all(find(product) for product, _ in shown.values())
    assert "matcha-asahi" not in {product for product, _ in shown.values()}, "it was bought"
    button = next(urlsplit(unescape(one)) for one in re.findall(r'href="([^"]+)"', page) if "coupon=" in one)
    asked = {name: one for name, (one,) in parse_qs(button.query).items()}
    assert button.hostname == "tea.example"
    assert asked["about"] == subject_of("no order since", "win-back", "ida")
    assert asked["coupon"] in page.replace(unescape(button.query), "")
    assert asked["cartmesh"].split(".")[:3] == ["email", asked["offer"], asked["about"]]
    text = " ".join(unescape(re.sub("<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)).split())
    assert "Chosen for you" in text
    assert "looked at it together with" in text
    assert "€" in text
    assert "$" not in text
    assert page.count("/pictures/") >= 3


async def who_looked_is_shown_other_products_as_well(shop):
    """Below those that they looked at, and none of these."""
    await shop.identified("ben", "Ben")
    await shop.viewed("ben", "matcha-asahi", "chawan-kohiki")

    page = await shop.mail("ben")

    shown = {product for product, _ in recommended(page).values()}
    assert len(shown) == 3
    assert not shown & {"matcha-asahi", "chawan-kohiki"}
    assert all(one.name for one in products() if one.product_id in shown)
