"""Console app: the Litestar application of a service's pages, each behind the guard."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Request, Response, Router, asgi, get
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler, Receive, Scope, Send

from mesh.errors import MeshError
from mesh.mesh import Mesh
from mesh.page import Page
from mesh.web.application import shared_options
from mesh.web.console import Console, wants_page
from mesh.web.csrf import SAFE
from mesh.web.headers import response_headers
from mesh.web.problems import http_error, mesh_error

LARGEST_BODY = 2 * 1024 * 1024


def console_app(
    mesh: Mesh, console: Console, routes: Mapping[Page, Sequence[ControllerRouterHandler]], *, has_root: bool
) -> Litestar:
    """The app of some pages with their routes. With `has_root` its own `/` leads to the first of them."""
    options = _options(mesh, console)
    first, *_ = routes
    pages = [
        Router(
            page.path,
            route_handlers=[*handlers, *([console.files.route()] if page is first else [])],
            middleware=[console.guard.requires(page.role)],
        )
        for page, handlers in routes.items()
    ]
    root = [_root(first.path)] if has_root else []
    return Litestar([*pages, *root], request_max_body_size=LARGEST_BODY, **options)


def refusing_app(mesh: Mesh, console: Console, status: int, detail: str) -> Litestar:
    """The app that refuses every request, in the console's frame where a person looks."""

    @asgi("/", is_mount=True, copy_scope=True)
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  an ASGI app's own
        raise HTTPException(detail, status_code=status)

    return Litestar([refuse], **_options(mesh, console))


def _options(mesh: Mesh, console: Console) -> dict[str, Any]:
    options = shared_options(mesh)
    options["exception_handlers"] |= {HTTPException: _refused(console), MeshError: _failed(console)}
    options["response_headers"] = response_headers(referrer="same-origin")
    return options


def _root(path: str) -> HTTPRouteHandler:
    @get("/")
    async def go_to_page() -> Redirect:
        return Redirect(path, status_code=303)

    return go_to_page


def _refused(console: Console) -> Any:
    def respond(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        if not wants_page(request):
            return http_error(request, error)
        if error.status_code == 401 and request.method in SAFE:
            return console.to_sign_in(request)
        title = HTTPStatus(error.status_code).phrase
        return _with_headers(console.refusal(request, error.status_code, title, error.detail), error.headers)

    return respond


def _failed(console: Console) -> Any:
    def respond(request: Request[Any, Any, Any], error: MeshError) -> Response[Any]:
        problem = mesh_error(request, error)
        if not wants_page(request):
            return problem
        status = problem.status_code or 500
        detail = f"JetStream of {console.region} does not answer just now. Try again in a moment."
        return console.refusal(request, status, HTTPStatus(status).phrase, detail if status == 503 else str(error))

    return respond


def _with_headers(response: Response[Any], headers: Mapping[str, str] | None) -> Response[Any]:
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response
