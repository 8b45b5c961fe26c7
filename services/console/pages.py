"""Pages: the console's own routes, all below `/console`."""

from functools import partial
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from mesh import Mesh
from mesh.web.console import Console
from services.console.account import account_routes
from services.console.accounts import accounts_routes
from services.console.audit_list import audit_route
from services.console.changes import Changes
from services.console.joining import joining_routes
from services.console.oidc_settings import read_oidc_settings
from services.console.provider_sign_in import provider_routes
from services.console.signing_in import signing_in_routes

TEMPLATES = Path(__file__).parent / "templates"


def routes(mesh: Mesh, console: Console, changes: Changes) -> list[HTTPRouteHandler]:
    """All of them."""
    templates, oidc = console.templates(TEMPLATES), read_oidc_settings()
    templates.globals["has_provider"] = oidc is not None
    show = partial(_show, console, templates)

    @get("/")
    async def show_overview(request: Request[Any, Any, Any]) -> Response[bytes]:
        return show(request, "overview.html.j2", {})

    return [
        show_overview,
        *signing_in_routes(mesh, console, show),
        *(provider_routes(mesh, console, show, oidc) if oidc else []),
        *joining_routes(mesh, console, show),
        *account_routes(console, show),
        *accounts_routes(mesh, console, show),
        audit_route(console, changes, show),
    ]


def _show(
    console: Console,
    environment: Any,
    request: Request[Any, Any, Any],
    template: str,
    values: dict[str, Any],
    *,
    status: int = 200,
) -> Response[bytes]:
    return console.page(request, environment, template, values, status=status)
