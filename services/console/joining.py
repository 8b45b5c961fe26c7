"""Joining: an invitation's link, with which an account is created or gets a new password."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.web import passwords
from mesh.web.accounts import Account, email_identity
from mesh.web.console import Console
from mesh.web.guard import PUBLIC
from mesh.web.invitations import Invitation, Invitations
from services.console.forms import email_of, fields
from services.console.signing_in import Show, begin_session

GONE = "This link was used already, or is too old. Ask whoever gave it to you for another"
TAKEN = "Somebody has an account with this e-mail address already."


class Joining:
    """The form of an invitation, and what becomes of what was filled in."""

    def __init__(self, mesh: Mesh, console: Console, show: Show) -> None:
        self._console, self._show, self._invitations = console, show, Invitations(mesh)

    async def open(self, request: Request[Any, Any, Any], token: str) -> Response[Any]:
        """The form, empty."""
        invitation = await self._invitations.get(token)
        return await self._form(request, invitation, {}, "") if invitation else self._gone(request)

    async def fill_in(self, request: Request[Any, Any, Any], token: str) -> Response[Any]:
        """Create the account or set the password, and sign in; or the form again, with what is wrong."""
        sent = await fields(request, "name", "email", "password")
        invitation = await self._invitations.get(token)
        if invitation is None:
            return self._gone(request)
        known = await self._known(invitation)
        email = known.email if known else email_of(sent["email"])
        wrong = passwords.objection(sent["password"], email=email) if email else "This is no e-mail address."
        if email is None or wrong:
            return await self._form(request, invitation, sent, wrong or "", status=400)
        if known is None and await self._console.accounts.find(email_identity(email)):
            return await self._form(request, invitation, sent, TAKEN, status=409)
        kept = await passwords.hash_password(sent["password"])
        if await self._invitations.use(token) is None:
            return self._gone(request)
        if known is None:
            name = sent["name"] or email
            account = await self._console.accounts.create(email=email, name=name, roles=invitation.roles, password=kept)
        else:
            account = known
            await self._console.accounts.change(known.id, lambda one: msgspec.structs.replace(one, password=kept))
            await self._console.sessions.end_all(known.id, tokens=True)
        return await begin_session(self._console, request, account, "/console")

    async def _known(self, invitation: Invitation) -> Account | None:
        return await self._console.accounts.get(invitation.account_id) if invitation.account_id else None

    async def _form(
        self,
        request: Request[Any, Any, Any],
        invitation: Invitation,
        sent: dict[str, str],
        wrong: str,
        *,
        status: int = 200,
    ) -> Response[bytes]:
        values = {
            "invitation": invitation,
            "token": request.path_params["token"],
            "known": await self._known(invitation),
            "sent": sent,
            "wrong": wrong,
        }
        return self._show(request, "join.html.j2", values, status=status)

    def _gone(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        return self._console.refusal(request, 410, "This link is no longer good", GONE)


def joining_routes(mesh: Mesh, console: Console, show: Show) -> list[HTTPRouteHandler]:
    """`/console/join/{token}`. Looking at the link does not use it up: mail programs look at links too."""
    joining = Joining(mesh, console, show)

    @get("/join/{token:str}", opt={PUBLIC: True})
    async def show_invitation(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
        return await joining.open(request, token)

    @post("/join/{token:str}", status_code=200, opt={PUBLIC: True})
    async def join(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
        """Create an account, or set a new password, by an invitation."""
        return await joining.fill_in(request, token)

    return [show_invitation, join]
