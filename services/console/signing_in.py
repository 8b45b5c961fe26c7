"""Signing in and out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh import Mesh, settings
from mesh.web import passwords
from mesh.web.accounts import Account, email_identity
from mesh.web.attempts import Attempts
from mesh.web.audit import note
from mesh.web.client_address import address_of
from mesh.web.console import SIGN_IN, Console, local_path
from mesh.web.guard import PUBLIC
from mesh.web.sessions import Person
from services.console.forms import fields

Show = Callable[..., Response[bytes]]
WRONG = "This e-mail address and password do not belong together."


class SignInSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a session lasts, and how many proxies stand in front and append to X-Forwarded-For (0: none)."""

    session_lifetime: timedelta = timedelta(hours=12)
    trusted_proxies: int = 0


def signing_in_routes(mesh: Mesh, console: Console, show: Show) -> list[HTTPRouteHandler]:
    """`/console/sign-in` and `/console/sign-out`."""
    limits, attempts = settings.read(SignInSettings), Attempts(mesh)

    @get("/sign-in", opt={PUBLIC: True})
    async def show_sign_in(request: Request[Any, Any, Any], next: FromQuery[str] = "") -> Response[Any]:
        if request.scope.get("user") is not None:
            return Redirect(local_path(next), status_code=303)
        first = not await console.accounts.any()
        return show(request, "sign_in.html.j2", {"next": local_path(next), "email": "", "wrong": "", "first": first})

    @post("/sign-in", status_code=200, opt={PUBLIC: True})
    async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
        """Begin a session where e-mail address and password belong together."""
        sent = await fields(request, "email", "password", "next")
        address = address_of(request, limits.trusted_proxies)
        wait = await attempts.begin(sent["email"], address)
        values = {"next": local_path(sent["next"]), "email": sent["email"], "first": False}
        if wait is not None:
            return too_many(show, request, values, wait)
        account = await console.accounts.find(email_identity(sent["email"]))
        matches = await passwords.verify_password(sent["password"], account.password if account else "")
        if account is None or not matches or account.disabled:
            return show(request, "sign_in.html.j2", {**values, "wrong": WRONG}, status=401)
        await attempts.succeeded(sent["email"], address)
        return await begin_session(console, request, account, local_path(sent["next"]))

    @post("/sign-out", status_code=303, opt={PUBLIC: True})
    async def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
        """End this session."""
        person: Person | None = request.scope.get("user")
        if person is not None:
            await console.sessions.end(person.account.id, person.session)
        leaving = Redirect(SIGN_IN, status_code=303)
        leaving.set_cookie(console.cookies.drop_session())
        return leaving

    return [show_sign_in, sign_in, sign_out]


def too_many(show: Show, request: Request[Any, Any, Any], values: dict[str, Any], wait: timedelta) -> Response[bytes]:
    """The sign-in page, with how long to wait."""
    minutes = max(1, -(-int(wait.total_seconds()) // 60))
    words = f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
    refused = show(request, "sign_in.html.j2", {**values, "wrong": words}, status=429)
    refused.headers["Retry-After"] = str(int(wait.total_seconds()) + 1)
    return refused


async def begin_session(
    console: Console, request: Request[Any, Any, Any], account: Account, then: str
) -> Response[Any]:
    """A new session for whoever was recognised, and the way to where they wanted to go.

    The token is always new (nobody can know it beforehand), and a session that the browser had is ended.
    """
    before: Person | None = request.scope.get("user")
    if before is not None:
        await console.sessions.end(before.account.id, before.session)
    lasting = settings.read(SignInSettings).session_lifetime
    token = await console.sessions.begin(account.id, agent=request.headers.get("user-agent", ""), lasting=lasting)
    request.scope["user"] = await console.sessions.person(token)
    note(request, account.id)
    arriving = Redirect(then, status_code=303)
    arriving.set_cookie(console.cookies.keep_session(token))
    return arriving
