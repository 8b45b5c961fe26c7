"""Accounts: who may sign in, with which roles; for administrators."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh import Mesh
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.invitations import Invitations, join_link
from mesh.web.roles import ADMIN, declared_roles
from services.console.forms import fields
from services.console.signing_in import Show

HERE = "/console/accounts"


class AccountsPage:
    """The page, and how somebody else's account is changed."""

    def __init__(self, mesh: Mesh, console: Console, show: Show) -> None:
        self.console, self._show = console, show
        self.invitations = Invitations(mesh)

    async def show(self, request: Request[Any, Any, Any], *, token: str = "") -> Response[bytes]:
        """The page; with the `token` of an invitation that was just made, which is not shown again."""
        require(request, ADMIN.name)
        address = self.console.settings.url_console or str(request.base_url)
        values = {
            "accounts": await self.console.accounts.all(),
            "roles": declared_roles(),
            "link": join_link(address, token) if token else "",
        }
        return self._show(request, "accounts.html.j2", values)

    async def change(self, request: Request[Any, Any, Any], account_id: str, **changed: Any) -> Redirect:
        """Change somebody else's account: nobody locks themselves out, so an administrator is always left."""
        if require(request, ADMIN.name).account.id == account_id:
            raise ClientException("nobody changes their own access; ask another administrator", status_code=409)
        after = await self.console.accounts.change(account_id, lambda one: msgspec.structs.replace(one, **changed))
        if after is None:
            raise NotFoundException("there is no such account")
        return Redirect(HERE, status_code=303)


def accounts_routes(mesh: Mesh, console: Console, show: Show) -> list[HTTPRouteHandler]:
    """`/console/accounts` and what administrators change there."""
    page = AccountsPage(mesh, console, show)
    return [*_invitation_routes(page), *_access_routes(page)]


def _invitation_routes(page: AccountsPage) -> list[HTTPRouteHandler]:
    @get("/accounts")
    async def show_accounts(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await page.show(request)

    @post("/accounts/invite", status_code=200)
    async def invite(request: Request[Any, Any, Any]) -> Response[bytes]:
        """A link with which somebody creates an account with this role."""
        person, roles = require(request, ADMIN.name), await _roles(request)
        token = await page.invitations.create(roles=roles, invited_by=person.account.id)
        note(request, roles=" ".join(roles))
        return await page.show(request, token=token)

    @post("/accounts/{account_id:str}/reset", status_code=200)
    async def reset_password(request: Request[Any, Any, Any], account_id: FromPath[str]) -> Response[bytes]:
        """A link with which somebody sets a new password."""
        person = require(request, ADMIN.name)
        if await page.console.accounts.get(account_id) is None:
            raise NotFoundException("there is no such account")
        token = await page.invitations.create(account_id=account_id, invited_by=person.account.id)
        note(request, account_id)
        return await page.show(request, token=token)

    return [show_accounts, invite, reset_password]


def _access_routes(page: AccountsPage) -> list[HTTPRouteHandler]:
    @post("/accounts/{account_id:str}/roles", status_code=303)
    async def change_roles(request: Request[Any, Any, Any], account_id: FromPath[str]) -> Redirect:
        """Give somebody another role; it holds from the next request on."""
        roles = await _roles(request)
        note(request, account_id, roles=" ".join(roles))
        return await page.change(request, account_id, roles=roles)

    @post("/accounts/{account_id:str}/disable", status_code=303)
    async def disable_account(request: Request[Any, Any, Any], account_id: FromPath[str]) -> Redirect:
        """Let somebody in no longer: sessions and API tokens end at once."""
        note(request, account_id)
        done = await page.change(request, account_id, disabled=True)
        await page.console.sessions.end_all(account_id, tokens=True)
        return done

    @post("/accounts/{account_id:str}/enable", status_code=303)
    async def enable_account(request: Request[Any, Any, Any], account_id: FromPath[str]) -> Redirect:
        """Let somebody in again."""
        note(request, account_id)
        return await page.change(request, account_id, disabled=False)

    return [change_roles, disable_account, enable_account]


async def _roles(request: Request[Any, Any, Any]) -> tuple[str, ...]:
    """The one role that was chosen. Raises 400 for one that is not declared."""
    role = (await fields(request, "role"))["role"]
    if role not in {one.name for one in declared_roles()}:
        raise ClientException(f"there is no role {role!r}", status_code=400)
    return (role,)
