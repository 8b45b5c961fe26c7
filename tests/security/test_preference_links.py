"""What a shopper allows: looking changes nothing, saving is stored with its proof, nothing can be forged."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.channels import MARKETING
from mesh.consent import consent_of
from mesh.errors import Unavailable
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.group_commit import GroupCommitter
from mesh.profiles import address_digest
from mesh.runtime.run import running
from notifications.links import service as links
from notifications.preference_page import choices
from notifications.preference_token import ALLOWS_FOR, PreferenceLink, link, seal
from notifications.shopper_profile import profile_of
from notifications.unsubscribe_token import LinkSettings, Unsubscription
from notifications.unsubscribe_token import seal as seal_unsubscription

SECRET = "of-the-links-in-mails"
ADDRESS = "ada@example.test"


@pytest.fixture
async def visitor(mesh, regions, monkeypatch):
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    await mesh.publish(CustomerIdentified(visitor_id="ada", email=ADDRESS))
    await mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=True))
    async with (
        running(links, Mesh(regions.broker("us"), "links"), http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60) as client,
    ):
        yield client


def path(*, age=timedelta(0), secret=SECRET, address=ADDRESS):
    due = int((datetime.now(UTC) - age).timestamp())
    made = PreferenceLink(visitor_id="ada", address=address_digest(address), offer_id="o1", due=due)
    return "/preferences/" + seal(made, secret)


async def allowed(mesh):
    """What holds, as the page and as whoever sends reads it."""
    history = await mesh.history("ada", "customer")
    profile, shown = profile_of(history), {one.name: one.allowed for one in choices(history, address_digest(ADDRESS))}
    sends = bool(profile.consent.get("email")) and "email" not in profile.unsubscribed
    assert bool(shown["marketing.email"]) == sends
    return {name: shown[name] for name in ("marketing.email", "marketing.onsite")}


async def events(mesh):
    return [
        one
        for one in await mesh.history("ada", "customer")
        if isinstance(one.event, ConsentConfirmed | CustomerUnsubscribed)
    ]


async def test_looking_changes_nothing_whatever_the_method_of_looking(visitor, mesh):
    """Scanners GET and HEAD, with anything behind the address; the page shows what holds, in the reader's language."""
    shown = await visitor.get(path(), headers={"Accept-Language": "de-AT"})
    for again in (path(), f"{path()}?marketing.email=no&all=no"):
        await visitor.get(again)
        await visitor.head(again)

    assert await events(mesh) == []
    assert 'lang="de"' in shown.text
    assert 'name="marketing.email" value="yes" checked' in shown.text
    assert "E-Mails zu Ihren Bestellungen kommen immer" in shown.text
    assert (shown.headers["cache-control"], "set-cookie" in shown.headers) == ("no-store", False)


async def test_a_language_without_texts_is_answered_in_english(visitor):
    """As the other pages behind links are."""
    shown = await visitor.get(path(), headers={"Accept-Language": "fi, sv;q=0.5"})

    assert "What may we send you?" in shown.text


async def test_what_is_saved_is_stored_once_with_its_proof(visitor, mesh):
    """Refused, refused again, allowed again: where, and the words that were agreed to."""
    fields = {"marketing.email": "no", "marketing.onsite": "no"}
    refused = await visitor.post(path(), data=fields)
    again = await visitor.post(path(), data=fields)
    held = await allowed(mesh)
    await visitor.post(path(), data={"marketing.email": "yes"})

    stored = [one.event for one in await events(mesh)]
    assert (refused.status_code, again.status_code, "Saved" in refused.text) == (200, 200, True)
    assert held == {"marketing.email": False, "marketing.onsite": False}
    assert await allowed(mesh) == {"marketing.email": True, "marketing.onsite": False}
    assert [type(one) for one in stored] == [CustomerUnsubscribed, CustomerUnsubscribed, ConsentConfirmed]
    assert {one.where for one in stored} == {"/preferences"}
    assert stored[-1].wording == "What may we send you?: Offers and reminders, by e-mail: Yes"
    assert stored[-1].address == address_digest(ADDRESS)


async def test_one_button_stops_everything(visitor, mesh):
    """Whatever else the form says."""
    await visitor.post(path(), data={"all": "no", "marketing.email": "yes"})

    assert set((await allowed(mesh)).values()) == {False}


async def test_an_old_link_refuses_and_allows_nothing(visitor, mesh):
    """A mail that was forwarded long ago is no way to have somebody written to again."""
    old = path(age=ALLOWS_FOR + timedelta(days=1))
    await visitor.post(old, data={"marketing.email": "no"})
    shown = await visitor.post(old, data={"marketing.email": "yes"})

    assert (await allowed(mesh))["marketing.email"] is False
    assert "too old to allow" in shown.text


async def test_the_link_to_another_address_confirms_nothing_for_the_newest(visitor, mesh):
    """Who changed their address is asked at the new one: the old mailbox may be somebody else's."""
    await mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=False, by="server"))
    await visitor.post(path(address="old@example.test"), data={"marketing.email": "yes"})

    consent = consent_of(await mesh.history("ada", "customer"), MARKETING.name)
    assert (consent.asked["email"], consent.confirmed) == (False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: path(secret="another-secret-of-somebody"),
        lambda: path()[:-1],
        lambda: "/preferences/x",
        lambda: (
            "/preferences/"
            + seal_unsubscription(Unsubscription(visitor_id="ada", channel="email", offer_id="o1"), SECRET)
        ),
    ],
)
async def test_a_forged_link_is_refused(visitor, mesh, wrong):
    """One of another purpose, too."""
    answers = [await visitor.get(wrong()), await visitor.post(wrong(), data={"marketing.email": "no"})]

    assert [one.status_code for one in answers] == [400, 400]
    assert await events(mesh) == []


async def test_fields_that_are_none_change_nothing(visitor, mesh):
    """Unknown names, other values, and a form that is no form."""
    await visitor.post(path(), data={"marketing.email": "maybe", "marketing.fax": "yes", "x": "<script>"})
    await visitor.post(path(), content=b"\xff\x00", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert await events(mesh) == []


async def test_what_cannot_be_stored_is_said(visitor, mesh, monkeypatch):
    """Nobody is told that it was saved."""

    async def fails(*_):
        raise Unavailable("no leader")

    monkeypatch.setattr(GroupCommitter, "commit", fails)
    answer = await visitor.post(path(), data={"marketing.email": "no"})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_the_link_names_neither_visitor_nor_address():
    """It is sealed, and the same for the same mail."""
    made = PreferenceLink(visitor_id="ada", address="a" * 32, offer_id="o1", due=1)
    settings = LinkSettings(secret=SECRET, url_links="https://links.example.test/")

    assert link(made, settings) == link(made, settings)
    assert link(made, settings).startswith("https://links.example.test/preferences/")
    assert "ada" not in link(made, settings)
