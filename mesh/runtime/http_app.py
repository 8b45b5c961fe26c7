"""HTTP app: what a service serves: its pages of the console below their paths, and its own app for everything else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mesh.mesh import Mesh
from mesh.parameters import fill
from mesh.runtime.discovery import discover
from mesh.service import Service

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def http_app(service: Service, provided: Mapping[type, Any]) -> Any:
    """The ASGI app of a service that serves HTTP. `provided` is what its functions' parameters are filled with."""
    given = dict(provided)
    if not service.pages and service.app is not None:
        return service.app(**fill(service.app, given, skip=0))
    from mesh.web.console import Console  # noqa: PLC0415  brings Litestar, which other processes do not need
    from mesh.web.console_app import console_app  # noqa: PLC0415  the same

    mesh: Mesh = given[Mesh]
    every = {page.path: page for one in (*discover(), service) for page in one.pages}
    console = Console(mesh, own=service.pages, pages=tuple(every.values()))
    routes = {page: page.build(console, **fill(page.build, given)) for page in service.pages}
    pages: Any = console_app(mesh, console, routes, has_root=service.app is None)
    if service.app is None:
        return pages
    rest = service.app(**fill(service.app, given, skip=0))
    return _by_path(pages, tuple(page.path for page in service.pages), rest)


def _by_path(pages: Asgi, paths: tuple[str, ...], rest: Asgi) -> Asgi:
    """What is below the paths goes to the pages."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        below = scope["type"] == "lifespan" or any(path == one or path.startswith(f"{one}/") for one in paths)
        await (pages if below else rest)(scope, receive, send)

    return app
