"""Account: one's own sessions, password and API tokens."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh.web import passwords
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from services.console.forms import fields
from services.console.signing_in import Show

HERE = "/console/account"
TOKEN_LASTING = timedelta(days=365)
DONE = {
    "password": "The password is changed; every other session has ended.",
    "ended": "The session has ended.",
    "others": "Every other session has ended.",
    "revoked": "The token no longer works.",
}


def account_routes(console: Console, show: Show) -> list[HTTPRouteHandler]:
    """`/console/account` and what can be changed there."""
    page = _Page(console, show)
    return [_show_account(page), _change_password(page), *_ending_sessions(console), _create_token(page)]


@dataclass(frozen=True)
class _Page:
    """The page of one's own account, with what was done or is wrong."""

    console: Console
    show: Show

    async def respond(self, request: Request[Any, Any, Any], *, status: int = 200, **values: str) -> Response[bytes]:
        person = require(request, "viewer")
        shown = {
            "sessions": await self.console.sessions.of(person.account.id),
            "tokens": await self.console.sessions.tokens_of(person.account.id),
            "done": "",
            "wrong": "",
            "token": "",
            **values,
        }
        return self.show(request, "account.html.j2", shown, status=status)


def _show_account(page: _Page) -> HTTPRouteHandler:
    @get("/account")
    async def show_account(request: Request[Any, Any, Any], done: FromQuery[str] = "") -> Response[bytes]:
        return await page.respond(request, done=DONE.get(done, ""))

    return show_account


def _change_password(page: _Page) -> HTTPRouteHandler:
    console = page.console

    @post("/account/password", status_code=200)
    async def change_password(request: Request[Any, Any, Any]) -> Response[Any]:
        """Set another password; whoever is signed in elsewhere must sign in again."""
        person = require(request, "viewer")
        sent = await fields(request, "password", "new-password")
        if not await passwords.verify_password(sent["password"], person.account.password):
            return await page.respond(request, status=403, wrong="The present password is another one.")
        if wrong := passwords.objection(sent["new-password"], email=person.account.email):
            return await page.respond(request, status=400, wrong=wrong)
        kept = await passwords.hash_password(sent["new-password"])
        await console.accounts.change(person.account.id, lambda one: msgspec.structs.replace(one, password=kept))
        await console.sessions.end_all(person.account.id, but=person.session)
        note(request, person.account.id)
        return Redirect(f"{HERE}?done=password", status_code=303)

    return change_password


def _ending_sessions(console: Console) -> list[HTTPRouteHandler]:
    @post("/account/sessions/end", status_code=303)
    async def end_session(request: Request[Any, Any, Any]) -> Redirect:
        """End one session, or revoke an API token."""
        person, sent = require(request, "viewer"), await fields(request, "key")
        if not await console.sessions.end(person.account.id, sent["key"]):
            raise NotFoundException("this session has ended already")
        note(request, sent["key"][:12])
        return Redirect(f"{HERE}?done=ended", status_code=303)

    @post("/account/sessions/end-others", status_code=303)
    async def end_other_sessions(request: Request[Any, Any, Any]) -> Redirect:
        """End every session but this one."""
        person = require(request, "viewer")
        ended = await console.sessions.end_all(person.account.id, but=person.session)
        note(request, person.account.id, sessions=str(ended))
        return Redirect(f"{HERE}?done=others", status_code=303)

    return [end_session, end_other_sessions]


def _create_token(page: _Page) -> HTTPRouteHandler:
    console = page.console

    @post("/account/tokens", status_code=200)
    async def create_token(request: Request[Any, Any, Any]) -> Response[bytes]:
        """An API token with one's own roles, shown this once."""
        person, sent = require(request, "viewer"), await fields(request, "token-name")
        token = await console.sessions.create_token(
            person.account.id, name=sent["token-name"] or "unnamed", lasting=TOKEN_LASTING
        )
        note(request, person.account.id)
        return await page.respond(request, token=token)

    return create_token
