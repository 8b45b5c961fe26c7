"""What the links in a mail do: they ask first, count every time, and cannot be forged."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerUnsubscribed
from mesh.group_commit import GroupCommitter
from mesh.runtime.run import running
from notifications import confirmation_token
from notifications.confirmation_token import Confirmation
from notifications.links import service as links
from notifications.shopper_profile import profile_of
from notifications.unsubscribe_token import Unsubscription, seal

SECRET = "of-the-links-in-mails"


@pytest.fixture
async def visitor(mesh, monkeypatch):
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    async with (
        running(links, mesh, http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60) as client,
    ):
        yield client


def path(secret=SECRET):
    return "/unsubscribe/" + seal(Unsubscription(visitor_id="ada", channel="email", offer_id="o1"), secret)


async def test_looking_changes_nothing_and_clicking_is_stored_before_the_answer(visitor, mesh):
    """Prefetchers GET; people and mail programs POST, in their language."""
    asked = await visitor.get(path(), headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert (await mesh.history("ada", "customer")).last(CustomerUnsubscribed) is None

    clicked = await visitor.post(path(), data={"List-Unsubscribe": "One-Click"})

    unsubscribed = (await mesh.history("ada", "customer")).last(CustomerUnsubscribed).event
    assert unsubscribed == CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id="o1", where="/unsubscribe")
    assert "abbestellen" in asked.text
    assert (clicked.status_code, "set-cookie" in clicked.headers) == (200, False)
    assert "form-action 'self'" in asked.headers["content-security-policy"]


async def test_clicking_twice_is_one_event(visitor, mesh):
    """A retry changes nothing."""
    for _ in range(3):
        assert (await visitor.post(path())).status_code == 200

    assert len((await mesh.history("ada", "customer")).of(CustomerUnsubscribed)) == 1


async def test_unsubscribing_again_after_new_consent_is_stored(visitor, mesh):
    """The same link, soon after: the shopper is unsubscribed again."""
    await visitor.post(path())
    await mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=True, by="server"))
    assert "email" not in profile_of(await mesh.history("ada", "customer")).unsubscribed

    answer = await visitor.post(path())

    assert answer.status_code == 200
    assert "email" in profile_of(await mesh.history("ada", "customer")).unsubscribed


def confirm_path(secret=SECRET, asked=None):
    asked = asked or datetime.now(UTC)
    token = confirmation_token.seal(
        Confirmation(visitor_id="ada", channel="email", address="d1", asked=int(asked.timestamp())), secret
    )
    return f"/confirm/{token}"


async def test_only_the_button_confirms_and_it_does_so_once(visitor, mesh):
    """Scanners of mails GET; a repeated click is the same event, until the shopper unsubscribes in between."""
    link = confirm_path()
    asked = await visitor.get(link, headers={"Accept-Language": "de"})
    assert (await mesh.history("ada", "customer")).events == ()

    clicked = [await visitor.post(link) for _ in range(2)]
    once = len((await mesh.history("ada", "customer")).of(ConsentConfirmed))
    await visitor.post(path())
    await visitor.post(link)

    confirmed = (await mesh.history("ada", "customer")).of(ConsentConfirmed)
    assert [answer.status_code for answer in clicked] == [200, 200]
    assert "Dürfen wir Ihnen schreiben?" in asked.text
    assert (once, len(confirmed)) == (1, 2)
    assert confirmed[0].event == ConsentConfirmed(
        visitor_id="ada",
        channel="email",
        address="d1",
        where="/confirm",
        wording="May we write to you? You will get e-mails about carts you left, at this address. "
        "You can stop them with one click. Yes, write to me",
    )


async def test_unsubscribing_again_after_confirming_is_stored(visitor, mesh):
    """The same link, soon after: the shopper is unsubscribed again."""
    for link in (path(), confirm_path(), path()):
        assert (await visitor.post(link)).status_code == 200

    assert len((await mesh.history("ada", "customer")).of(CustomerUnsubscribed)) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("link", "status"),
    [
        (confirm_path("guessed"), 400),
        (path().replace("unsubscribe", "confirm"), 400),
        (confirm_path(asked=datetime.now(UTC) - timedelta(days=8)), 410),
    ],
    ids=["forged", "of another purpose", "too old"],
)
async def test_a_link_that_is_no_confirmation_confirms_nothing(visitor, mesh, method, link, status):
    """Neither one of somebody else's, nor the link to unsubscribe, nor one from long ago."""
    answer = await visitor.request(method, link)

    assert answer.status_code == status
    assert (await mesh.history("ada", "customer")).events == ()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_link_is_refused_with_a_page(visitor, mesh, method):
    """400, in words, and nothing stored."""
    answer = await visitor.request(method, path("guessed"))

    assert answer.status_code == 400
    assert "This link does not work" in answer.text
    assert (await mesh.history("ada", "customer")).events == ()


async def test_what_cannot_be_stored_is_not_confirmed(visitor, regions, mesh):
    """503 and when to come again."""
    mesh.group = GroupCommitter(mesh.broker, patience=timedelta(0))
    regions.stop("us")

    answer = await visitor.post(path())
    regions.start("us")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
