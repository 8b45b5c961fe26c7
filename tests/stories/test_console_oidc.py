"""Signing in to the console by an OpenID provider that runs here, over real HTTP."""

import base64
import hashlib
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from secrets import token_urlsafe
from time import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.errors import DeclarationError
from mesh.events.console import ConsoleChanged
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from mesh.web import attempts
from mesh.web.accounts import Accounts
from mesh.web.invitations import Invitations, first_link
from mesh.web.passwords import hash_password
from mesh.web.sessions import SESSIONS
from services import console
from services.console.oidc_settings import read_oidc_settings

CLIENT, SECRET = "cartmesh console", "a secret/with: signs"
PASSWORD = "correct horse battery staple"
CALLBACK = "/console/sign-in/provider/callback"
KEY, NEW_KEY = (RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}) for _ in range(2))
ADA = {"sub": "ada-1", "email": "Ada@shop.example", "email_verified": True, "name": "Ada"}


@dataclass
class Provider:
    """A small OpenID provider: `person` signs in at once, `changed` is put into the ID token, None leaves out."""

    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: dict(ADA))
    changed: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: KEY)
    published: RSAKey | None = None
    sign: Any = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Litestar:
        """Its four endpoints."""

        @get("/.well-known/openid-configuration")
        async def discovery() -> dict[str, Any]:
            endpoints = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
            return {"issuer": self.issuer} | {name: f"{self.issuer}/{path}" for name, path in endpoints.items()}

        @get("/authorize")
        async def authorize(request: Request[Any, Any, Any], redirect_uri: FromQuery[str]) -> Redirect:
            asked = dict(request.query_params)
            assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (
                CLIENT,
                "code",
                "S256",
            )
            assert "openid" in asked["scope"].split()
            code = token_urlsafe()
            self.codes[code] = asked
            return Redirect(f"{redirect_uri}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}")

        @post("/token", status_code=200)
        async def token(request: Request[Any, Any, Any]) -> Response[Any]:
            sent, asked = await request.form(), None
            expected = base64.b64encode(b"cartmesh%20console:a%20secret%2Fwith%3A%20signs").decode()
            if request.headers.get("authorization") == f"Basic {expected}":
                asked = self.codes.pop(sent["code"], None)
            challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest())
            if (
                asked is None
                or asked["redirect_uri"] != sent["redirect_uri"]
                or asked["code_challenge"] != challenge.decode().rstrip("=")
            ):
                return Response({"error": "invalid_grant"}, status_code=400)
            return Response({"token_type": "Bearer", "access_token": "unused", "id_token": self.id_token(asked)})

        @get("/jwks")
        async def jwks() -> dict[str, Any]:
            return KeySet([self.published or self.key]).as_dict(private=False)

        return Litestar([discovery, authorize, token, jwks], openapi_config=None)

    def id_token(self, asked: dict[str, str]) -> str:
        """Who signed in, signed."""
        now = int(time())
        usual = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (usual | self.person | self.changed).items() if value is not None}
        return self.sign(claims) if self.sign else jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)


@dataclass
class Place:
    """A console whose people sign in at a provider."""

    provider: Provider
    mesh: Mesh
    stack: AsyncExitStack
    url: str = ""

    async def browser(self):
        """A browser profile of its own."""
        client = httpx.AsyncClient(base_url=self.url, headers={"accept": "text/html"}, timeout=60)
        return await self.stack.enter_async_context(client)

    async def restart(self):
        """Run another console, with the settings of now."""
        mesh = Mesh(self.mesh.broker, "console")
        run = await self.stack.enter_async_context(running(console.service, mesh, http=("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{run.port}"

    async def account(self, email="root@shop.example", roles=("viewer",)):
        """An account with a password."""
        kept = await hash_password(PASSWORD)
        return await Accounts(self.mesh).create(email=email, name="Root", roles=roles, password=kept)

    async def emails(self):
        """Whose accounts there are."""
        return [account.email for account in await Accounts(self.mesh).all()]

    async def sessions(self):
        """How many sessions there are."""
        return len([key async for key, _ in self.mesh.state(SESSIONS).items()])

    async def changes(self):
        """Every audit event, as (who, what)."""
        return [(one.event.account_id, one.event.action) async for one in self.mesh.read(ConsoleChanged)]


async def at_provider(browser, **query):
    """Go to the provider and be sent back: the address of the console with the code."""
    start = await browser.get("/console/sign-in/provider", params=query)
    assert start.status_code == 303, start.text
    return (await browser.get(start.headers["location"])).headers["location"]


async def sign_in(browser, **query):
    """Sign in by the provider."""
    return await browser.get(await at_provider(browser, **query))


async def sign_in_by_password(browser, email):
    """Fill in the form."""
    csrf = re.search(r'name="csrf" value="(\w+)"', (await browser.get("/console/sign-in")).text)[1]
    return await browser.post("/console/sign-in", data={"csrf": csrf, "email": email, "password": PASSWORD})


@pytest.fixture
async def place(monkeypatch):
    broker, provider = MemoryMesh("us").broker("us"), Provider()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(broker.drain)
        port = await stack.enter_async_context(serving(provider.app(), "127.0.0.1", 0))
        provider.issuer = f"http://127.0.0.1:{port}"
        monkeypatch.setenv("CARTMESH_OIDC_ISSUER", provider.issuer)
        monkeypatch.setenv("CARTMESH_OIDC_CLIENT_ID", CLIENT)
        monkeypatch.setenv("CARTMESH_OIDC_CLIENT_SECRET", SECRET)
        made = Place(provider, Mesh(broker, "console"), stack)
        await made.restart()
        yield made


@pytest.fixture
async def domains(place, monkeypatch):
    """Whoever has an address of the shop may come, and an administrator was there before."""
    monkeypatch.setenv("CARTMESH_OIDC_ROLE", "viewer")
    monkeypatch.setenv("CARTMESH_OIDC_DOMAINS", "shop.example, other.example")
    await place.account()
    await place.restart()
    return place


async def test_the_button_is_there_only_where_a_provider_is_configured(place, monkeypatch):
    """And without one there is no such address."""
    configured = await (await place.browser()).get("/console/sign-in")
    monkeypatch.delenv("CARTMESH_OIDC_ISSUER")
    await place.restart()
    browser = await place.browser()

    plain, start = await browser.get("/console/sign-in"), await browser.get("/console/sign-in/provider")

    assert "identity provider" in configured.text
    assert "identity provider" not in plain.text
    assert start.status_code == 404


async def test_an_invitation_makes_an_account_that_signs_in_by_the_provider(place):
    """With the invitation's role and no password; it works once, and each step is on record."""
    token = await Invitations(place.mesh).create(roles=("admin",))
    browser, again = await place.browser(), await place.browser()
    assert f"provider?invitation={token}" in (await browser.get(f"/console/join/{token}")).text

    joined, known = await sign_in(browser, invitation=token), await sign_in(again, next="/console/account")

    (account,) = await Accounts(place.mesh).all()
    assert (account.email, account.name, account.roles, account.password) == ("Ada@shop.example", "Ada", ("admin",), "")
    assert (joined.status_code, joined.headers["location"]) == (303, "/console")
    assert (known.status_code, known.headers["location"]) == (303, "/console/account")
    assert [(await one.get("/console/accounts")).status_code for one in (browser, again)] == [200, 200]
    assert await place.changes() == [(account.id, "join-by-provider"), (account.id, "sign-in-by-provider")]

    place.provider.person = ADA | {"sub": "bob-2", "email": "bob@shop.example"}
    assert (await sign_in(await place.browser(), invitation=token)).status_code == 410
    assert await place.emails() == ["Ada@shop.example"]


async def test_whoever_nobody_invited_is_refused_in_words(place):
    """Although the provider knows them; no account and no session is made."""
    await place.account()
    browser = await place.browser()

    refused = await sign_in(browser)

    assert (refused.status_code, "Ask an administrator for an invitation" in refused.text) == (403, True)
    assert (await browser.get("/console")).status_code == 303
    assert (await place.emails(), await place.sessions()) == (["root@shop.example"], 0)


async def test_a_verified_address_of_a_known_domain_gets_the_role_of_the_settings(domains):
    """At the first sign-in; afterwards the subject alone counts, whatever the address."""
    first = await sign_in(await domains.browser())
    domains.provider.person["email"] = "ada@elsewhere.example"
    second = await sign_in(await domains.browser())

    _, account = await Accounts(domains.mesh).all()
    assert (first.status_code, second.status_code, account.roles) == (303, 303, ("viewer",))
    assert await domains.changes() == [(account.id, "join-by-provider"), (account.id, "sign-in-by-provider")]


async def test_an_address_that_is_not_verified_or_of_elsewhere_gets_no_account(domains):
    """The domain must be one of the list, whole."""
    people = [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email": "ada@evil.example"},
        {"email": "ada@evilshop.example"},
        {"email": "ada@shop.example@evil.example"},
        {"email": None},
    ]
    browser, answers = await domains.browser(), []

    for domains.provider.changed in people:
        answers.append((await sign_in(browser)).status_code)

    assert answers == [403] * len(people)
    assert await domains.emails() == ["root@shop.example"]


async def test_a_domain_makes_nobody_the_first_account(place, monkeypatch):
    """So the first link, which makes an administrator, is not void."""
    monkeypatch.setenv("CARTMESH_OIDC_ROLE", "viewer")
    monkeypatch.setenv("CARTMESH_OIDC_DOMAINS", "shop.example")
    await place.restart()

    refused = await sign_in(await place.browser())
    link = await first_link(place.mesh, place.url)
    first = await sign_in(await place.browser(), invitation=link.rpartition("/")[2])

    assert (refused.status_code, first.status_code) == (403, 303)
    assert [account.roles for account in await Accounts(place.mesh).all()] == [("admin",)]


async def test_an_address_alone_opens_no_account_that_exists(domains):
    """It is linked by an administrator's link; then password and provider open the same account."""
    account = await domains.account("ada@shop.example", ("publisher",))

    refused = await sign_in(await domains.browser())
    token = await Invitations(domains.mesh).create(account_id=account.id)
    linked = await sign_in(await domains.browser(), invitation=token)
    known = await sign_in(await domains.browser())

    assert (refused.status_code, "not linked" in refused.text) == (409, True)
    assert (linked.status_code, known.status_code) == (303, 303)
    assert await domains.changes() == [(account.id, "link-identity-by-provider"), (account.id, "sign-in-by-provider")]
    assert (await sign_in_by_password(await domains.browser(), "ada@shop.example")).status_code == 303


async def test_a_disabled_account_stays_closed(domains):
    """Also with an invitation."""
    await sign_in(await domains.browser())
    _, account = await Accounts(domains.mesh).all()
    await Accounts(domains.mesh).change(account.id, lambda one: type(one)(**{**_fields(one), "disabled": True}))
    token = await Invitations(domains.mesh).create(roles=("admin",))

    answers = [await sign_in(await domains.browser(), **query) for query in ({}, {"invitation": token})]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert all("disabled" in answer.text for answer in answers)


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _unsigned(claims):
    parts = [
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b'{"alg":"none"}', jwt.encode({"alg": "HS256"}, claims, OctKey.generate_key()).encode())
    ]
    body = base64.urlsafe_b64decode(parts[1] + "==").decode().split(".")[1]
    return f"{parts[0]}.{body}."


BAD_CLAIMS = {
    "wrong nonce": {"nonce": "another sign-in's"},
    "no nonce": {"nonce": None},
    "wrong audience": {"aud": "another client"},
    "no audience": {"aud": None},
    "several audiences, of another client": {"aud": [CLIENT, "another client"], "azp": "another client"},
    "several audiences, of no client": {"aud": [CLIENT, "another client"]},
    "expired": {"iat": int(time()) - 900, "exp": int(time()) - 600},
    "no expiry": {"exp": None},
    "wrong issuer": {"iss": "https://evil.example"},
    "no subject": {"sub": None},
}


async def test_an_id_token_with_a_wrong_claim_signs_nobody_in(domains):
    """Although its signature is right; the same person gets in with a right one."""
    browser, answers = await domains.browser(), {}

    for claim, changed in BAD_CLAIMS.items():
        domains.provider.changed = changed
        refused = await sign_in(browser)
        answers[claim] = (refused.status_code, "could not be verified" in refused.text)

    assert answers == dict.fromkeys(BAD_CLAIMS, (401, True))
    assert (await domains.emails(), await domains.sessions()) == (["root@shop.example"], 0)
    domains.provider.changed = {}
    assert (await sign_in(browser)).status_code == 303


BAD_SIGNATURES = {
    "another key": lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, NEW_KEY),
    "no signature": _unsigned,
    "the client's secret": lambda claims: jwt.encode(
        {"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET.encode())
    ),
    "no token at all": lambda _: "three.short.words",
}


async def test_an_id_token_that_the_provider_did_not_sign_signs_nobody_in(domains):
    """The provider's published keys count alone."""
    browser, answers = await domains.browser(), {}

    for kind, domains.provider.sign in BAD_SIGNATURES.items():
        answers[kind] = (await sign_in(browser)).status_code

    assert answers == dict.fromkeys(BAD_SIGNATURES, 401)
    assert await domains.sessions() == 0


async def test_a_provider_may_exchange_its_keys(domains):
    """The next sign-in is verified with the new one."""
    before = await sign_in(await domains.browser())
    domains.provider.key = NEW_KEY

    assert (before.status_code, (await sign_in(await domains.browser())).status_code) == (303, 303)


async def test_a_sign_in_belongs_to_the_browser_that_began_it(domains):
    """Nobody is signed in by another's link, with another state, or by the same link twice."""
    mine, other = await domains.browser(), await domains.browser()
    link = await at_provider(mine)
    code = parse_qs(urlsplit(link).query)["code"][0]

    theirs = [await other.get(link)]
    await at_provider(other)
    theirs.append(await other.get(link))
    forged = await mine.get(CALLBACK, params={"code": code, "state": "0" * 64})

    assert [one.status_code for one in (*theirs, forged)] == [400, 400, 400]
    assert await domains.sessions() == 0
    link = await at_provider(mine)
    assert [(await mine.get(link)).status_code for _ in range(2)] == [303, 400]


async def test_a_code_of_another_sign_in_is_worth_nothing(domains):
    """The provider compares the challenge (PKCE): a stolen code does not fit this browser's verifier."""
    stolen = parse_qs(urlsplit(await at_provider(await domains.browser())).query)["code"][0]
    browser = await domains.browser()
    state = parse_qs(urlsplit(await at_provider(browser)).query)["state"][0]

    refused = await browser.get(CALLBACK, params={"code": stolen, "state": state})

    assert (refused.status_code, await domains.sessions()) == (401, 0)


async def test_a_sign_in_that_was_given_up_is_no_error(domains):
    """Nor is the response of another provider taken for this one's."""
    browser, answers = await domains.browser(), []

    for query in ({"error": "access_denied"}, {"code": "c", "iss": "https://evil.example"}, {}):
        state = parse_qs(urlsplit(await at_provider(browser)).query)["state"][0]
        refused = await browser.get(CALLBACK, params={**query, "state": state})
        answers.append((refused.status_code, "did not sign you in" in refused.text))

    assert answers == [(401, True)] * 3


async def test_signing_in_by_the_provider_leads_nowhere_else(domains):
    """Whatever path was asked for."""
    browser, elsewhere = await domains.browser(), ("https://evil.example", "//evil.example", "/\\evil.example", "js:1")

    answers = [await sign_in(browser, next=path) for path in elsewhere]

    assert [answer.headers["location"] for answer in answers] == ["/console"] * 4


async def test_a_provider_that_is_down_leaves_the_password(place, monkeypatch):
    """Before one is sent there, and after one was; the message names what works."""
    await place.account()
    browser = await place.browser()
    link = await at_provider(browser)
    place.provider.published = Broken()
    after = await browser.get(link)
    async with serving(place.provider.app(), "127.0.0.1", 0) as free:
        pass
    monkeypatch.setenv("CARTMESH_OIDC_ISSUER", f"http://127.0.0.1:{free}")
    await place.restart()
    browser = await place.browser()

    before = await browser.get("/console/sign-in/provider")

    for answer in (after, before):
        assert (answer.status_code, "does not respond just now" in answer.text) == (503, True)
        assert 'name="password"' in answer.text
    assert (await sign_in_by_password(browser, "root@shop.example")).status_code == 303


class Broken:
    """A key that cannot be published."""

    def __getattr__(self, name):
        raise RuntimeError(name)


async def test_a_discovery_document_of_another_issuer_is_not_followed(place):
    """Otherwise a mixed-up provider could name endpoints of its own."""
    place.provider.issuer += "/other"

    assert (await (await place.browser()).get("/console/sign-in/provider")).status_code == 503


async def test_guessing_codes_is_slowed_down(domains, monkeypatch):
    """By the client's address, as passwords are; what succeeds does not count."""
    monkeypatch.setattr(attempts, "PER_ADDRESS", 3)
    succeeded = [(await sign_in(await domains.browser())).status_code for _ in range(4)]
    domains.provider.changed = {"nonce": "wrong"}

    failed = [await sign_in(await domains.browser()) for _ in range(4)]

    assert succeeded == [303] * 4
    assert [answer.status_code for answer in failed] == [401, 401, 401, 429]
    assert int(failed[-1].headers["retry-after"]) > 0


async def test_behind_a_proxy_the_provider_sends_people_to_the_consoles_own_address(place, monkeypatch):
    """And the cookie of the sign-in is bound to it."""
    monkeypatch.setenv("CARTMESH_URL_CONSOLE", "https://console.example/")
    await place.restart()

    start = await (await place.browser()).get("/console/sign-in/provider")

    asked = parse_qs(urlsplit(start.headers["location"]).query)
    assert asked["redirect_uri"] == [f"https://console.example{CALLBACK}"]
    (cookie,) = start.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-cartmesh-us-attempt=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ROLE": "admin", "DOMAINS": "shop.example"}, "nobody becomes an administrator"),
        ({"ROLE": "viewr", "DOMAINS": "shop.example"}, "no such role"),
        ({"ROLE": "viewer"}, "set together"),
        ({"DOMAINS": "shop.example"}, "set together"),
        ({"ISSUER": "http://login.example"}, "https URL"),
        ({"CLIENT_ID": ""}, "CLIENT_ID is not"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_at_the_start(monkeypatch, changed, words):
    """In words that name the setting."""
    given = {"ISSUER": "https://login.example", "CLIENT_ID": CLIENT} | changed
    for name, value in given.items():
        monkeypatch.setenv(f"CARTMESH_OIDC_{name}", value)

    with pytest.raises(DeclarationError, match=words):
        read_oidc_settings()
