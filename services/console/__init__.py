"""The console's sign-in, accounts and audit list, and the way to the pages of all services under one address."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service
from mesh.events.console import ConsoleChanged
from mesh.web.sign_in_buckets import WRITTEN_BY_CONSOLE
from services.console.changes import Changes

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service("console", publishes=(ConsoleChanged,), buckets=WRITTEN_BY_CONSOLE, port=8120)


@service.resource
async def open_changes() -> AsyncIterator[Changes]:
    """What was changed lately."""
    yield Changes()


@service.on(ConsoleChanged, fanout=True, since=timedelta(days=90))
async def list_changes(received: Received[ConsoleChanged], changes: Changes) -> None:
    """Remember who changed what in the region's console."""
    changes.add(received)


@service.page("/console", title="Console", role="viewer")
def console_pages(console: "Console", mesh: Mesh, changes: Changes) -> list[Any]:
    """Signing in, accounts, and what was changed."""
    from services.console.pages import routes  # noqa: PLC0415  brings Litestar, which other processes do not need

    return routes(mesh, console, changes)


@service.http
def forward_to_pages(mesh: Mesh) -> Any:
    """The pages of the region's other services, where this process knows their addresses."""
    from services.console.front import front  # noqa: PLC0415  brings httpx, which other processes do not need

    return front(mesh, service.pages)
