"""Journeys of several steps on real servers: made in the studio's pages, mailed, killed in the middle, raced."""

import asyncio
import os
import random
import re
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import msgspec
import pytest
import pytest_asyncio

from mesh.events.cart import CartAbandoned, CartConverted, CartLine, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.offer import OfferDecided, OfferDue, OfferSent
from mesh.events.order import PurchaseMarked
from mesh.money import Money
from mesh.profiles import digests_of
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions
from notifications.channels.service import service as channels
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.journeys.kind import JOURNEYS
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services.console import service as console
from services.identity import service as identity
from tests.journey_form import Fields

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"), name="Lamp")
street = Service(
    "street", publishes=(CartUpdated, CartAbandoned, CartConverted, CustomerIdentified, ConsentChanged, PurchaseMarked)
)
SERVICES = (offers, channels, studio, console, identity, street)
RACES = 24
ADDRESS = "/journeys/reminders"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("servers")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(folder):
    """One server, its inbox, mails and the studio; `offers` runs in a process of its own, which tests kill."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(Topology.of(["us"], nodes=1), services=SERVICES))
        servers.access.write(folder / "servers.json")
        (folder / "topology.json").write_bytes(msgspec.json.encode(servers.topology))
        box = await stack.enter_async_context(inbox(folder / "inbox"))

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        with pytest.MonkeyPatch.context() as settings:
            settings.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
            settings.setenv("CARTMESH_SEND_AGAIN_AFTER", "100ms")
            settings.setenv("CARTMESH_SEND_ATTEMPTS", "100")
            for kind in (TEMPLATES, JOURNEYS):
                await seed(kind, "", await mesh("offers"))
            await stack.enter_async_context(running(channels, await mesh("channels")))
            run = await stack.enter_async_context(running(studio, await mesh("studio"), http=("127.0.0.1", 0)))
            yield Stage(folder, box, await mesh("street"), await mesh("console"), f"http://127.0.0.1:{run.port}")


class Stage:
    """A shop's street, and what runs behind it."""

    def __init__(self, folder, box, shop, console, url):
        self.folder, self.box, self.shop, self.console, self.url = folder, box, shop, console, url

    @asynccontextmanager
    async def deciding(self):
        """`cartmesh run offers` as an operator would start it; killed at the end whatever happens."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mesh.cli", "run", "offers", "--region", "us"),
            *("--servers", str(self.folder / "servers.json"), "--topology", str(self.folder / "topology.json")),
            env=os.environ | {"CARTMESH_JOURNEY_QUIET": "", "CARTMESH_JOURNEY_SCORE_LIMIT": "50ms"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert await asyncio.wait_for(process.stdout.readline(), 60)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def leave(self, name):
        """A shopper who may be mailed leaves a cart that is called like them."""
        now, known = datetime.now(UTC), {"visitor_id": name}
        await self.shop.publish(CustomerIdentified(**known, email=f"{name}@example.test"))
        await self.shop.publish(ConsentChanged(**known, channel="email", granted=True))
        await self.shop.publish(CartUpdated(cart_id=name, **known, lines=(LINE,)))
        left = CartAbandoned(
            cart_id=name, **known, lines=(LINE,), total=LINE.price, left_at=now - timedelta(minutes=30), due=now
        )
        await self.shop.publish(Draft(event=left, id=f"left-{name}"))

    async def buy(self, name):
        """They buy what is in it, as the shop stores an order."""
        marks = [PurchaseMarked(shopper=one, order_id=f"o-{name}") for one in digests_of(name)]
        await self.shop.publish(CartConverted(cart_id=name, order_id=f"o-{name}", visitor_id=name), *marks)

    async def decided(self, name, *, step, outcome):
        """The decision of this outcome about a step of a cart, or nothing."""
        found = (await self.shop.history(name, OfferDecided)).of(OfferDecided)
        return [one for one in found if (one.event.step, one.event.outcome) == (step, outcome)]

    def mailed(self, name):
        """How many mails they got."""
        return sum(f"{name}@example.test" in mail.recipients for mail in self.box.mails)


class Marketer:
    """A browser without JavaScript on the page of a journey."""

    def __init__(self, client):
        self.client, self.text = client, ""

    @property
    def words(self):
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", self.text)))

    async def open(self, path):
        self.text = (await self.client.get(path)).text
        return self.words

    async def save(self, *, step_edit="", then="", **changes):
        """Press a button of the form, with some controls of it changed."""
        sent = {}
        for name, text in Fields(self.text).sent:
            sent.setdefault(name, []).append(text)
        sent |= {name if name == "contact_interval" else f"steps.{name}": texts for name, texts in changes.items()}
        sent |= {"step_edit": [step_edit], "then": [then]}
        answer = await self.client.post(f"{ADDRESS}/draft", data=sent, follow_redirects=True)
        assert answer.status_code == 200, re.findall(r'id="wrong-\w+"[^>]*>([^<]+)', answer.text)
        self.text = answer.text

    async def publish(self, **fields):
        """Publish the draft as the review shows it."""
        await self.open(f"{ADDRESS}/review")
        seen = {name: re.search(rf'name="{name}" value="(\d*)"', self.text)[1] for name in ("version", "expected")}
        await self.post(f"{ADDRESS}/publish", **seen, **fields)

    async def post(self, path, **fields):
        secret = re.search(r'name="csrf" value="(\w+)"', self.text)[1]
        answer = await self.client.post(path, data={"csrf": secret, **fields}, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        self.text = answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def marketer(stage):
    """Signed in as a publisher."""
    account = Account(id="ina", email="ina@example.com", name="Ina", roles=("publisher",), created=datetime.now(UTC))
    await stage.console.state(ACCOUNTS).put(account.id, account)
    token = await Sessions(stage.console).begin(account.id, agent="test", lasting=timedelta(hours=1))
    cookies, headers = {"cartmesh-us-session": token}, {"Accept": "text/html"}
    async with httpx.AsyncClient(base_url=stage.url, cookies=cookies, headers=headers, timeout=60) as client:
        yield Marketer(client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(marketer):
    """A journey of two steps with two variants of the second, made and published in the pages."""
    await marketer.open("/journeys")
    await marketer.post("/journeys", name="reminders", copy="abandoned-cart")
    await marketer.save(step_edit="add")
    await marketer.save(step_edit="variant:1")
    steps = {"name": ["hello", "again"], "after": ["0", "0.7"], "unit": ["s", "s"]}
    await marketer.save(**steps, offers=["0", "own"], percent=["10", "5"])
    assert "Wait 0.7 seconds Longer, as offers are 1 day apart" in marketer.words
    await marketer.save(then="review", contact_interval=["0"])
    assert "Step again none after 0.7 seconds, variant a (share 50, no discount)" in marketer.words, marketer.words
    await marketer.publish()
    await marketer.open("/journeys")
    await marketer.post("/journeys/abandoned-cart/switch", active="off", expected="0")
    return marketer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def working(stage, published):
    """The process that decides, until the last test kills it."""
    async with stage.deciding() as process:
        yield process


async def test_two_steps_with_variants_from_the_page_to_the_mailbox(stage, published, working, eventually):
    """One shopper gets both mails, one buys between them and gets no second one; the pages say which variant won."""
    await stage.leave("ada")
    for name in (f"bob-{at}" for at in range(5)):
        await stage.leave(name)
        await eventually(lambda name=name: stage.mailed(name))
        await stage.buy(name)
        ended = await eventually(lambda name=name: _ended(stage, name))
        if ended.event.outcome == "dropped":  # else the machine took longer to buy than the second step waits
            break
    await eventually(lambda: stage.mailed("ada") == 2)
    [second] = await stage.decided("ada", step="again", outcome="approved")

    async def counted():
        return re.search(rf"again {second.event.variant} [1-9] [1-9]", await published.open("/overview"))

    await eventually(counted)
    why = await published.open("/decisions/ada")
    await published.open(f"{ADDRESS}/text")

    assert published.text.count("[[steps.variants]]") == 2
    assert (stage.mailed("ada"), stage.mailed(name)) == (2, 1)
    assert ended.event.reason == "bought"
    assert second.event.discount_percent == {"a": 0, "b": 5}[second.event.variant]
    assert f"Approved by reminders, step again, variant {second.event.variant}" in why
    assert "Approved by reminders, step hello" in why


async def test_no_second_step_is_decided_after_a_purchase_however_close(stage, published, working, eventually):
    """Shoppers buy about when their second step is due and while it is decided."""
    names = [f"race-{at}" for at in range(RACES)]

    async def race(at, name):
        await stage.leave(name)
        await eventually(lambda: stage.decided(name, step="again", outcome="held"))
        if at % 3 == 0 and at:  # about when it is due
            sent = await eventually(lambda: stage.shop.last(OfferSent, name))
            due = sent.time + timedelta(milliseconds=700) + timedelta(milliseconds=random.uniform(-60, 60))
            await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        elif at % 3 == 1:  # while it is decided
            await eventually(lambda: stage.shop.last(OfferDue, f"reminders--{name}"))
            await asyncio.sleep(random.uniform(0, 0.2))
        elif at % 3 == 2:  # while it is sent
            await eventually(lambda: _ended(stage, name))
        await stage.buy(name)

    await asyncio.gather(*(race(at, name) for at, name in enumerate(names)))
    ends = [await eventually(lambda name=name: _ended(stage, name)) for name in names]
    await eventually(lambda: _all_settled(stage, ends))

    bought = {name: (await stage.shop.last(CartConverted, name)).sequence for name in names}
    offers_first = [one for one in ends if one.event.outcome == "approved"]
    assert {one.event.reason for one in ends} <= {"", "bought"}
    assert [one.event.cart_id for one in offers_first if one.sequence > bought[one.event.cart_id]] == []
    assert [name for name in names if stage.mailed(name) > 2] == []
    dropped = [one.event.cart_id for one in ends if one.event.outcome == "dropped"]
    assert [name for name in dropped if stage.mailed(name) > 1] == []
    assert dropped, "no purchase was ever first: this proves nothing"
    assert offers_first, "no offer was ever first: this proves nothing"


async def test_a_run_that_was_killed_between_its_steps_goes_on(stage, published, working, eventually):
    """The timer is the server's: whoever runs when it goes off sends the second mail, once, and keeps the revision.

    Meanwhile the second step was taken out of the journey by somebody who wants runs under way to keep theirs.
    """
    stage.box._refuse = lambda _: "451 later"  # a step waits while the mail before it is under way
    await stage.leave("kim")
    await eventually(lambda: stage.decided("kim", step="again", outcome="held"))
    working.kill()
    await working.wait()
    stage.box._refuse = lambda _: None
    await published.open(ADDRESS)
    await published.save(step_edit="remove:1")
    await published.publish(runs="keep")
    await eventually(lambda: stage.mailed("kim") == 1)
    await eventually(lambda: stage.shop.last(OfferDue, "reminders--kim"))
    assert await stage.decided("kim", step="again", outcome="approved") == []
    async with stage.deciding():
        await eventually(lambda: stage.mailed("kim") == 2)
        await eventually(lambda: _sent(stage, "kim", 2))

    [second] = await stage.decided("kim", step="again", outcome="approved")
    assert (second.event.journey_revision, stage.mailed("kim")) == (1, 2)
    assert "runs under way kept their revision" in await published.open(f"{ADDRESS}/history")


async def _sent(stage, name, count):
    return len((await stage.shop.history(name, OfferSent)).of(OfferSent)) == count


async def _ended(stage, name):
    """How the second step of a cart ended."""
    found = (await stage.shop.history(name, OfferDecided)).of(OfferDecided)
    return next((one for one in found if one.event.step == "again" and one.event.outcome != "held"), None)


async def _all_settled(stage, ends):
    """Whether every approved second step was sent or withdrawn."""
    for one in ends:
        if one.event.outcome == "approved":
            history = await stage.shop.history(one.event.cart_id, "offer")
            names = [
                type(other.event).__name__
                for other in history
                if getattr(other.event, "offer_id", "") == one.event.offer_id
            ]
            if not {"OfferSent", "OfferWithdrawn", "OfferFailed"} & {*names}:
                return False
    return True
