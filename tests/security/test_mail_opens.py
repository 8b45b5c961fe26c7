"""What the picture in a mail does: it counts where that is wanted and allowed, and is the same for everybody."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.events.customer import ConsentChanged, CustomerUnsubscribed
from mesh.events.offer import OfferOpened, OfferSent
from mesh.events.profile import ProfileErasureRequested
from mesh.profiles import PROFILES, visitor_key
from mesh.publish import Draft
from mesh.runtime.run import running
from notifications.documents.publishing import publish
from notifications.journeys.kind import JOURNEYS, files_of
from notifications.links import service as links
from notifications.open_pixel import GIF
from notifications.open_token import OpenLink, seal
from services.identity import service as identity
from tests.unit.test_opened_by import GMAIL, IPHONE

SECRET = "of-the-links-in-mails"
APPLE, AN_HOUR = "Mozilla/5.0", timedelta(hours=1)
JOURNEY = 'template = "abandoned-cart"\ncount_opens = {wanted}\n'


@pytest.fixture
def open_rate():
    """How many pictures are counted each second."""
    return "100"


@pytest.fixture
async def visitor(mesh, regions, open_rate, monkeypatch):
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    monkeypatch.setenv("CARTMESH_OPEN_RATE", open_rate)
    await wanted(mesh)
    await send(mesh, "o1", datetime.now(UTC) - AN_HOUR)
    async with (
        running(links, Mesh(regions.broker("us"), "links"), http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60) as client,
    ):
        yield client


async def wanted(mesh, on=True):
    """Publish the journey, with its opens counted or not."""
    await publish(JOURNEYS, "cart", files_of(JOURNEY.format(wanted=str(on).lower())), "tests", mesh)


async def send(mesh, offer, at):
    """A mail of the cart was sent."""
    sent = OfferSent(cart_id="c1", visitor_id="ada", offer_id=offer, channel="email", opens_counted=True)
    await mesh.publish(Draft(event=sent, time=at))


def path(offer="o1", secret=SECRET):
    return "/opened/" + seal(OpenLink(visitor_id="ada", cart_id="c1", offer_id=offer, journey="cart"), secret)


def agent(name):
    return {"User-Agent": name}


async def opens(mesh):
    return [(one.event.offer_id, one.event.by) for one in (await mesh.history("c1", OfferOpened)).of(OfferOpened)]


async def test_each_way_in_which_a_mail_is_opened_is_stored_once(visitor, mesh):
    """By a person, through Gmail, by Apple Mail's machine; however often each comes."""
    for _ in range(3):
        for name in (APPLE, GMAIL, IPHONE):
            assert (await visitor.get(path(), headers=agent(name))).content == GIF

    assert await opens(mesh) == [("o1", "machine"), ("o1", "proxy"), ("o1", "person")]
    (stored,) = [one for one in (await mesh.history("c1", OfferOpened)).of(OfferOpened) if one.event.by == "proxy"]
    assert stored.event == OfferOpened(
        cart_id="c1", offer_id="o1", by="proxy", reason="Gmail's servers loaded it when the mail was opened"
    )


async def test_a_program_that_comes_too_soon_or_asks_for_the_head_is_a_machine(visitor, mesh):
    """With a browser's agent, too: here before the mail server had taken the mail."""
    await send(mesh, "later", datetime.now(UTC) + AN_HOUR)

    await visitor.get(path("later"), headers=agent(IPHONE))
    head = await visitor.head(path(), headers=agent(IPHONE))

    assert await opens(mesh) == [("later", "machine"), ("o1", "machine")]
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "image/gif")


async def test_a_token_that_is_none_of_ours_gets_the_same_answer(visitor, mesh):
    """Nobody learns from the answer which tokens there are."""
    good = await visitor.get(path(), headers=agent(IPHONE))
    for forged in (path(secret="another"), "/opened/x", path()[:-1]):
        answer = await visitor.get(forged, headers=agent(IPHONE))
        assert (answer.status_code, answer.content) == (good.status_code, good.content) == (200, GIF)
        assert {**answer.headers, "date": ""} == {**good.headers, "date": ""}

    assert good.headers["cache-control"] == "no-store"
    assert "set-cookie" not in good.headers
    assert await opens(mesh) == [("o1", "person")]


async def test_nothing_is_counted_that_is_not_wanted_any_more(visitor, mesh):
    """A journey that counts no opens by now counts none of mails that were sent before."""
    await wanted(mesh, on=False)

    assert (await visitor.get(path(), headers=agent(IPHONE))).content == GIF

    assert await opens(mesh) == []


@pytest.mark.parametrize(
    "refusal",
    [
        CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id="o1"),
        ConsentChanged(visitor_id="ada", channel="email", granted=False),
    ],
    ids=["unsubscribed", "refused"],
)
async def test_who_refused_mails_is_not_watched(visitor, mesh, refusal):
    """Nor are they told apart by the answer."""
    await mesh.publish(refusal)

    assert (await visitor.get(path(), headers=agent(IPHONE))).content == GIF

    assert await opens(mesh) == []


async def erased(mesh):
    """Whether the region has forgotten the visitor."""
    record = await mesh.state(PROFILES).get(visitor_key("ada"))
    return record and record.erased


async def test_erasure_ends_it(visitor, mesh, regions, eventually):
    """What is stored names nobody, and a mail that is opened afterwards is not counted."""
    await visitor.get(path(), headers=agent(IPHONE))
    async with running(identity, Mesh(regions.broker("us"), "identity")):
        await mesh.publish(ProfileErasureRequested(request="r", visitors=("ada",), names=()))
        await eventually(lambda: erased(mesh))

    await visitor.get(path(), headers=agent(GMAIL))
    await send(mesh, "o2", datetime.now(UTC) - AN_HOUR)
    await visitor.get(path("o2"), headers=agent(GMAIL))

    assert await opens(mesh) == [("o1", "person")]
    events = [one.event for one in (await mesh.history("c1", OfferOpened)).of(OfferOpened)]
    assert not any("ada" in repr(one) for one in events)


@pytest.mark.parametrize("open_rate", ["0.001"])
async def test_who_asks_too_often_is_not_counted(visitor, mesh):
    """And gets the picture all the same."""
    await send(mesh, "o2", datetime.now(UTC) - AN_HOUR)
    await visitor.get(path(), headers=agent(IPHONE))

    assert (await visitor.get(path("o2"), headers=agent(IPHONE))).content == GIF

    assert await opens(mesh) == [("o1", "person")]
