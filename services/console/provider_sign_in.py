"""Signing in by an identity provider: on the way there, and back with what it says."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh import Mesh, settings
from mesh.observability.logs import log
from mesh.web import audit
from mesh.web.accounts import Account
from mesh.web.attempts import Attempts
from mesh.web.client_address import address_of
from mesh.web.console import Console, local_path
from mesh.web.guard import PUBLIC
from mesh.web.opaque import new_token
from mesh.web.sessions import Person
from services.console.id_token import Unverified
from services.console.oidc_settings import OidcSettings
from services.console.provider import Provider, ProviderDown
from services.console.provider_accounts import ProviderAccounts, Refused
from services.console.signing_in import Show, SignInSettings, begin_session, too_many

START = "/sign-in/provider"
BACK = f"/console{START}/callback"
LASTING = 600
"""For how many seconds a browser may be at the provider."""
LONGEST = 1000
"""Of the path to return to, so that a browser keeps the cookie (RFC 6265, 6.1)."""
DOWN = "The identity provider does not respond just now. Sign in with your password, or try again in a moment."
STRANGE = "This sign-in was not begun in this browser, or too long ago. Begin again."
CANCELLED = "The identity provider did not sign you in. Begin again, or sign in with your password."
INVALID = "The identity provider's response could not be verified, so nobody was signed in. Begin again."


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser keeps while it is at the provider. It names no account, so there is nothing to gain by forging."""

    secret: str
    next: str
    invitation: str = ""


class ProviderSignIn:
    """One sign-in by the provider: its beginning and its end."""

    def __init__(self, mesh: Mesh, console: Console, show: Show, oidc: OidcSettings) -> None:
        self._mesh, self._console, self._show = mesh, console, show
        self._provider, self._accounts = Provider(oidc), ProviderAccounts(mesh, oidc)
        self._attempts, self._proxies = Attempts(mesh), settings.read(SignInSettings).trusted_proxies

    async def start(self, request: Request[Any, Any, Any], then: str, invitation: str) -> Response[Any]:
        """Send the browser to the provider."""
        path = local_path(then) if len(then) <= LONGEST else local_path("")
        attempt = Attempt(secret=new_token(), next=path, invitation=invitation[:100])
        try:
            address = await self._provider.address(attempt.secret, self._back(request))
        except ProviderDown as error:
            return self._down(request, attempt, error)
        leaving = Redirect(address, status_code=303, headers={"Cache-Control": "no-store"})
        leaving.set_cookie(self._console.cookies.keep_attempt(_packed(attempt), seconds=LASTING))
        return leaving

    async def finish(self, request: Request[Any, Any, Any], returned: dict[str, str]) -> Response[Any]:
        """Sign in whoever comes back, or say why not."""
        response = await self._finish(request, returned)
        response.set_cookie(self._console.cookies.drop_attempt())
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _finish(self, request: Request[Any, Any, Any], returned: dict[str, str]) -> Response[Any]:
        attempt = _unpacked(self._console.cookies.attempt(request))
        expected = self._provider.state(attempt.secret) if attempt else ""
        if attempt is None or not hmac.compare_digest(returned["state"].encode(), expected.encode()):
            return self._refuse(request, attempt, 400, STRANGE)
        if returned["error"] or not returned["code"] or not self._provider.is_mine(returned["iss"]):
            return self._refuse(request, attempt, 401, CANCELLED)
        address = address_of(request, self._proxies)
        wait = await self._attempts.begin(None, address)
        if wait is not None:
            return too_many(self._show, request, _values(attempt), wait)
        try:
            account, action = await self._recognise(request, attempt, returned["code"])
        except ProviderDown as error:
            return self._down(request, attempt, error)
        except Refused as refused:
            return self._refuse(request, attempt, refused.status, refused.reason)
        await self._attempts.succeeded(None, address)
        return await self._admit(request, account, action, attempt.next)

    async def _recognise(self, request: Request[Any, Any, Any], attempt: Attempt, code: str) -> tuple[Account, str]:
        try:
            person = await self._provider.redeem(code, attempt.secret, self._back(request))
        except Unverified as error:
            log.warning("sign-in by the identity provider refused", reason=str(error))
            raise Refused(401, INVALID) from None
        return await self._accounts.account(person, attempt.invitation)

    async def _admit(self, request: Request[Any, Any, Any], account: Account, action: str, then: str) -> Response[Any]:
        arriving = await begin_session(self._console, request, account, local_path(then))
        person: Person | None = request.scope.get("user")
        if person is not None:
            # The provider sends the browser back by GET, which the guard takes for no change.
            await audit.record(self._mesh, request, person, f"{action}_by_provider")
        return arriving

    def _back(self, request: Request[Any, Any, Any]) -> str:
        return f"{(self._console.settings.url_console or str(request.base_url)).rstrip('/')}{BACK}"

    def _down(self, request: Request[Any, Any, Any], attempt: Attempt, error: ProviderDown) -> Response[Any]:
        log.warning("the identity provider is down", reason=str(error))
        return self._refuse(request, attempt, 503, DOWN)

    def _refuse(
        self, request: Request[Any, Any, Any], attempt: Attempt | None, status: int, reason: str
    ) -> Response[bytes]:
        return self._show(request, "sign_in.html.j2", {**_values(attempt), "wrong": reason}, status=status)


def provider_routes(mesh: Mesh, console: Console, show: Show, oidc: OidcSettings) -> list[HTTPRouteHandler]:
    """`/console/sign-in/provider` and the address to which the provider sends browsers back.

    The way there is a link, not a form: `form-action 'self'` keeps a form from being redirected to another site.
    """
    signing_in = ProviderSignIn(mesh, console, show, oidc)

    @get(START, opt={PUBLIC: True})
    async def go_to_provider(
        request: Request[Any, Any, Any], next: FromQuery[str] = "", invitation: FromQuery[str] = ""
    ) -> Response[Any]:
        return await signing_in.start(request, next, invitation)

    @get(f"{START}/callback", opt={PUBLIC: True})
    async def return_from_provider(request: Request[Any, Any, Any]) -> Response[Any]:
        names = ("code", "state", "error", "iss")
        return await signing_in.finish(request, {name: str(request.query_params.get(name, "")) for name in names})

    return [go_to_provider, return_from_provider]


def _values(attempt: Attempt | None) -> dict[str, Any]:
    return {"next": local_path(attempt.next if attempt else ""), "email": "", "first": False}


def _packed(attempt: Attempt) -> str:
    return urlsafe_b64encode(msgspec.json.encode(attempt)).decode().rstrip("=")


def _unpacked(kept: str) -> Attempt | None:
    try:
        return msgspec.json.decode(urlsafe_b64decode(kept + "=" * (-len(kept) % 4)), type=Attempt)
    except (ValueError, msgspec.MsgspecError):
        return None
