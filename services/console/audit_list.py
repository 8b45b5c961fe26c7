"""Audit list: who changed what in this region's console; for administrators."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import ADMIN
from services.console.changes import Changes
from services.console.signing_in import Show

SHOWN = 200


def audit_route(console: Console, changes: Changes, show: Show) -> HTTPRouteHandler:
    """`/console/audit`."""

    @get("/audit")
    async def show_audit(request: Request[Any, Any, Any]) -> Response[bytes]:
        require(request, ADMIN.name)
        names = {account.id: account.name for account in await console.accounts.all()}
        return show(request, "audit.html.j2", {"changes": changes.newest(SHOWN), "names": names})

    return show_audit
