"""The console over real HTTP: who gets in, what they may do, what ends, and what is put on record."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.console import ConsoleChanged
from mesh.runtime.ports import free_ports
from mesh.runtime.run import running
from mesh.web import session_stream
from mesh.web.accounts import ACCOUNTS, Accounts
from mesh.web.attempts import FAILURES, PER_ACCOUNT
from mesh.web.invitations import INVITATIONS, Invitations, first_link
from mesh.web.sessions import SESSIONS, Sessions
from services import console
from services.operations import board

PASSWORD = "correct horse battery staple"
PAGE = {"accept": "text/html"}


@dataclass
class Place:
    """A region's console with the board behind it, and how a browser comes."""

    url: str
    mesh: Mesh
    stack: AsyncExitStack

    async def browser(self, **headers):
        """A browser profile of its own."""
        client = httpx.AsyncClient(base_url=self.url, headers=PAGE | headers, timeout=30)
        return await self.stack.enter_async_context(client)

    async def join(self, token, *, email, name="Ada", **headers):
        """A browser that has created an account by an invitation."""
        browser = await self.browser(**headers)
        sent = {"name": name, "email": email, "password": PASSWORD}
        answer = await send(browser, f"/console/join/{token}", sent)
        assert answer.status_code == 303, answer.text
        return browser

    async def member(self, role, *, email=None):
        """A browser that is signed in with a role."""
        token = await Invitations(self.mesh).create(roles=(role,))
        return await self.join(token, email=email or f"{role}@example.com", name=role.title())

    async def changes(self):
        """Every audit event, as (who, what, of what)."""
        found = [received.event async for received in self.mesh.read(ConsoleChanged)]
        return [(one.account_id, one.action, one.subject) for one in found]


async def secret(browser, path):
    """What the forms of a page carry."""
    answer = await browser.get(path)
    return re.search(r'name="csrf" value="(\w+)"', answer.text)[1]


async def send(browser, path, fields, *, page=None):
    """Fill in a form of a page (default: the one that the form is sent to)."""
    return await browser.post(path, data={**fields, "csrf": await secret(browser, page or path)})


async def sign_in(browser, email, password):
    """Fill in the form for signing in."""
    return await send(browser, "/console/sign-in", {"email": email, "password": password, "next": "/board"})


@pytest.fixture
async def place(monkeypatch):
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:
        meshes = {}
        for name in ("board", "console"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        of_board = await stack.enter_async_context(running(board.service, meshes["board"], http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_BOARD", f"http://127.0.0.1:{of_board.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield Place(f"http://127.0.0.1:{run.port}", meshes["console"], stack)


async def test_nobody_sees_a_page_without_signing_in(place):
    """A browser is led to the one sign-in and back; a script gets an answer that says what to send."""
    browser = await place.browser()

    page, script = await browser.get("/board"), await browser.get("/board/state", headers={"accept": "*/*"})

    assert (page.status_code, page.headers["location"]) == (303, "/console/sign-in?next=/board")
    assert (script.status_code, script.headers["www-authenticate"]) == (401, "Bearer")
    assert script.headers["content-type"] == "application/problem+json"
    assert (await browser.get("/board/live", headers={"accept": "text/event-stream"})).status_code == 401


async def test_the_first_link_makes_one_administrator_and_then_nobody(place):
    """It works once, looking at it does not use it up, and a second link of before is worth nothing afterwards."""
    links = [await first_link(place.mesh, place.url) for _ in range(2)]
    tokens = [link.rpartition("/")[2] for link in links]
    browser = await place.browser()
    assert (await browser.get(f"/console/join/{tokens[0]}")).status_code == 200

    ada = await place.join(tokens[0], email="ada@example.com")

    assert (await ada.get("/console/accounts")).status_code == 200
    assert [(await browser.get(f"/console/join/{token}")).status_code for token in tokens] == [410, 410]
    assert await first_link(place.mesh, place.url) is None


async def test_of_two_who_use_a_link_at_once_one_gets_in(place):
    """An invitation is one account's, also in a race."""
    token = await Invitations(place.mesh).create(roles=("viewer",))
    browsers = [await place.browser() for _ in range(4)]
    carried = [await secret(browser, f"/console/join/{token}") for browser in browsers]

    answers = await asyncio.gather(
        *(
            browser.post(
                f"/console/join/{token}",
                data={"csrf": csrf, "name": "N", "email": f"n{at}@example.com", "password": PASSWORD},
            )
            for at, (browser, csrf) in enumerate(zip(browsers, carried, strict=True))
        )
    )

    assert sorted(answer.status_code for answer in answers) == [303, 410, 410, 410]
    assert len(await Accounts(place.mesh).all()) == 1


@pytest.mark.parametrize(
    ("password", "words"),
    [("short", "at least 12"), ("ada@example.com", "no password"), ("a" * 14, "first that others try")],
)
async def test_a_weak_password_is_refused_in_words(place, password, words):
    """The form comes back with what was filled in, and the link is still good."""
    token = await Invitations(place.mesh).create(roles=("viewer",))
    browser = await place.browser()

    refused = await send(
        browser, f"/console/join/{token}", {"name": "Ada", "email": "ada@example.com", "password": password}
    )

    assert (refused.status_code, words in refused.text, 'value="Ada"' in refused.text) == (400, True, True)
    assert await Invitations(place.mesh).get(token)


async def test_signing_in_leads_to_where_one_wanted_to_go(place):
    """With the right password, whatever the capitals of the address; never to another site."""
    await place.member("viewer", email="Vi@example.com")
    browser = await place.browser()

    wrong = await sign_in(browser, "vi@example.com", "not this one at all")
    right = await sign_in(browser, "VI@example.com", PASSWORD)

    assert (wrong.status_code, right.status_code, right.headers["location"]) == (401, 303, "/board")
    assert (await browser.get("/board")).status_code == 200
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = await (await place.browser()).get("/console/sign-in", params={"next": elsewhere})
        assert 'name="next" value="/console"' in answer.text


async def test_the_cookie_is_for_this_browser_alone(place):
    """Scripts cannot read it, other sites do not send it, and only its digest is kept on the server."""
    browser = await place.member("viewer")
    cookie = browser.cookies["cartmesh-us-session"]

    (key,) = [key async for key, _ in place.mesh.state(SESSIONS).items()]
    answer = await sign_in(await place.browser(), "viewer@example.com", PASSWORD)

    written = next(one for one in answer.headers.get_list("set-cookie") if "session" in one)
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(written.split("; "))
    assert cookie not in key
    assert cookie not in written


async def test_with_https_the_cookie_is_secure(place, monkeypatch):
    """It is bound to the host by its name."""
    monkeypatch.setenv("CARTMESH_URL_CONSOLE", "https://console.example")
    await place.member("viewer")
    mesh = Mesh(place.mesh.broker, "console")
    async with running(console.service, mesh, http=("127.0.0.1", 0)) as run:
        browser = await place.browser()
        form = await browser.get(f"http://127.0.0.1:{run.port}/console/sign-in")

    (written,) = form.headers.get_list("set-cookie")
    assert written.startswith("__Host-cartmesh-us-form=")
    assert "Secure" in written.split("; ")


async def test_guessing_is_slowed_down_for_every_process(place):
    """After some failures an account waits, also with the right password; what failed is kept by the region."""
    await place.member("viewer")
    browser = await place.browser()
    csrf = await secret(browser, "/console/sign-in")

    tries = [
        await browser.post(
            "/console/sign-in", data={"csrf": csrf, "email": "viewer@example.com", "password": "wrong" * 3}
        )
        for _ in range(PER_ACCOUNT)
    ]
    late = await sign_in(await place.browser(), "viewer@example.com", PASSWORD)

    assert {answer.status_code for answer in tries} == {401}
    assert (late.status_code, "Too many attempts" in late.text, int(late.headers["retry-after"]) > 60) == (
        429,
        True,
        True,
    )
    assert len([key async for key, _ in place.mesh.state(FAILURES).items()]) == 2


async def test_a_form_of_another_site_changes_nothing(place):
    """Neither without the page's secret nor from another origin; nor can another site sign somebody in."""
    browser = await place.member("viewer")
    csrf, path = await secret(browser, "/console/account"), "/console/account/tokens"
    fields = {"token-name": "stolen"}

    answers = [
        await browser.post(path, data=fields),
        await browser.post(path, data=fields | {"csrf": "0" * 64}),
        await browser.post(path, data=fields | {"csrf": csrf}, headers={"origin": "https://evil.example"}),
        await browser.post(path, data=fields | {"csrf": csrf}, headers={"sec-fetch-site": "cross-site"}),
        await (await place.browser()).post("/console/sign-in", data={"email": "viewer@example.com"}),
    ]

    assert {answer.status_code for answer in answers} == {403}
    account = (await Accounts(place.mesh).all())[0]
    assert await Sessions(place.mesh).tokens_of(account.id) == []


async def test_a_role_is_enough_for_its_pages_and_no_more(place):
    """A viewer sees the board and not the accounts, neither in the navigation nor by the address."""
    viewer, admin = await place.member("viewer"), await place.member("admin")

    assert (await viewer.get("/board")).status_code == 200
    assert [(await viewer.get(path)).status_code for path in ("/console/accounts", "/console/audit")] == [403, 403]
    assert "/console/accounts" not in (await viewer.get("/console")).text
    assert "/console/accounts" in (await admin.get("/console")).text


async def test_another_role_holds_from_the_next_request_on(place):
    """And whoever is disabled is out at once, with every session and token."""
    admin, vi = await place.member("admin"), await place.member("viewer")
    account = next(one for one in await Accounts(place.mesh).all() if one.roles == ("viewer",))
    answer = await send(vi, "/console/account/tokens", {"token-name": "report"}, page="/console/account")
    token = re.search(r'id="token">(\S+?)<', answer.text)[1]
    script = await place.browser(authorization=f"Bearer {token}", accept="application/json")
    assert (await script.get("/board/state")).status_code == 200

    await send(admin, f"/console/accounts/{account.id}/roles", {"role": "admin"}, page="/console/accounts")
    raised = await vi.get("/console/accounts")
    await send(admin, f"/console/accounts/{account.id}/disable", {}, page="/console/accounts")

    assert raised.status_code == 200
    assert (await vi.get("/console")).status_code == 303
    assert (await script.get("/board/state")).status_code == 401
    assert (await sign_in(await place.browser(), "viewer@example.com", PASSWORD)).status_code == 401


async def test_nobody_locks_themselves_out(place):
    """So an administrator is always left."""
    admin = await place.member("admin")
    (account,) = await Accounts(place.mesh).all()

    answer = await send(admin, f"/console/accounts/{account.id}/disable", {}, page="/console/accounts")

    assert answer.status_code == 409
    assert (await Accounts(place.mesh).all())[0].disabled is False


async def test_sessions_end_when_they_are_ended(place):
    """One's own, every other, and all others with another password; an open stream ends with its session."""
    first = await place.member("viewer")
    others = [await place.browser() for _ in range(2)]
    for browser in others:
        await sign_in(browser, "viewer@example.com", PASSWORD)

    await send(first, "/console/account/sessions/end-others", {}, page="/console/account")
    assert [(await browser.get("/board")).status_code for browser in (first, *others)] == [200, 303, 303]

    await sign_in(others[0], "viewer@example.com", PASSWORD)
    changed = {"password": PASSWORD, "new-password": "another horse another staple"}
    await send(first, "/console/account/password", changed, page="/console/account")
    assert [(await browser.get("/board")).status_code for browser in (first, others[0])] == [200, 303]

    await send(first, "/console/sign-out", {}, page="/console/account")
    assert (await first.get("/board")).status_code == 303
    assert (await sign_in(others[0], "viewer@example.com", changed["new-password"])).status_code == 303


async def test_an_open_stream_ends_with_its_session(place, monkeypatch):
    """It was admitted long ago, and still no picture reaches whoever was signed out."""
    monkeypatch.setattr(session_stream, "CHECKED_EVERY", 0.2)
    browser = await place.member("viewer")
    (account,) = await Accounts(place.mesh).all()

    async with asyncio.timeout(100), browser.stream("GET", "/board/live") as answer:
        chunks = answer.aiter_bytes()
        assert b"retry" in await anext(chunks)
        await Sessions(place.mesh).end_all(account.id)
        async for _ in chunks:
            pass

    assert (await browser.get("/board")).status_code == 303


async def test_a_session_that_is_too_old_is_none(place):
    """Whatever the browser still has."""
    browser = await place.member("viewer")
    sessions = place.mesh.state(SESSIONS)
    (entry,) = [entry async for entry in sessions.items()]
    key, session = entry
    past = datetime.now(UTC) - timedelta(seconds=1)

    await sessions.put(key, type(session)(account_id=session.account_id, begun=session.begun, expires=past))

    assert (await browser.get("/board")).status_code == 303


async def test_a_lost_password_is_set_anew_by_an_administrators_link(place):
    """The link is for that account alone, and ends its sessions."""
    admin, vi = await place.member("admin"), await place.member("viewer")
    account = next(one for one in await Accounts(place.mesh).all() if one.roles == ("viewer",))

    answer = await send(admin, f"/console/accounts/{account.id}/reset", {}, page="/console/accounts")
    link = re.search(r'id="link">(\S+?)<', answer.text)[1]
    browser = await place.browser()
    renewed = await send(browser, link, {"password": "a very new pass phrase"})

    assert renewed.status_code == 303
    assert (await vi.get("/board")).status_code == 303
    assert (await sign_in(await place.browser(), "viewer@example.com", "a very new pass phrase")).status_code == 303
    assert len(await Accounts(place.mesh).all()) == 2


async def test_every_change_is_an_event_without_personal_data(place, eventually):
    """Who, what, of what; the audit page shows it by name, and no address or secret is in any event."""
    admin = await place.member("admin")
    vi = await place.member("viewer")
    by_role = {account.roles[0]: account.id for account in await Accounts(place.mesh).all()}
    await send(vi, "/console/account/sessions/end-others", {}, page="/console/account")
    await send(admin, f"/console/accounts/{by_role['viewer']}/roles", {"role": "marketer"}, page="/console/accounts")

    changes = await place.changes()
    stored = [message.body async for message in place.mesh.broker.read("COMMERCE_us", ["ev.us.console.>"])]

    assert changes == [
        (by_role["admin"], "join", by_role["admin"]),
        (by_role["viewer"], "join", by_role["viewer"]),
        (by_role["viewer"], "end-other-sessions", by_role["viewer"]),
        (by_role["admin"], "change-roles", by_role["viewer"]),
    ]
    assert not any(word in body for body in stored for word in (b"example.com", b"Viewer", PASSWORD.encode()))

    async def listed():
        text = (await admin.get("/console/audit")).text
        return "change roles" in text and "marketer" in text and "Viewer" in text

    await eventually(listed)


async def test_what_is_kept_lets_nobody_in(place):
    """Of passwords, sessions, tokens and invitations the buckets hold hashes alone."""
    token = await Invitations(place.mesh).create(roles=("viewer",))
    browser = await place.join(token, email="ada@example.com")

    kept = [account async for _, account in place.mesh.state(ACCOUNTS).items()]
    keys = [key async for key, _ in place.mesh.state(SESSIONS).items()]
    keys += [key async for key, _ in place.mesh.state(INVITATIONS).items()]

    assert kept[0].password.startswith("$argon2id$")
    assert token not in keys
    assert browser.cookies["cartmesh-us-session"] not in keys


async def test_a_page_that_is_nobodys_is_not_there(place):
    """People get a page of the console that leads back, scripts a problem (RFC 9457)."""
    browser = await place.member("viewer")

    for path in ("/nothing", "/console/nothing"):
        page = await browser.get(path)
        script = await browser.get(path, headers={"accept": "application/json"})

        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "<p>Not Found.</p>" not in page.text
        assert '<a href="/console">' in page.text
        assert (script.status_code, script.headers["content-type"]) == (404, "application/problem+json")
    assert (await browser.get("/")).headers["location"] == "/console"


async def test_a_page_whose_service_is_down_says_so(place, monkeypatch):
    """In the same way, and it asks to try again."""
    monkeypatch.setenv("CARTMESH_URL_BOARD", f"http://127.0.0.1:{free_ports(1)[0]}")
    run = await place.stack.enter_async_context(running(console.service, place.mesh, http=("127.0.0.1", 0)))
    browser = await place.browser()

    page = await browser.get(f"http://127.0.0.1:{run.port}/board")
    script = await browser.post(f"http://127.0.0.1:{run.port}/board", headers={"accept": "*/*"}, content=b"{}")

    assert page.status_code == script.status_code == 502
    assert "try again in a moment" in page.text
    assert script.json()["detail"].endswith("try again in a moment")
