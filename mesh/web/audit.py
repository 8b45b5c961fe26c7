"""Audit: every change that somebody makes in the console becomes one event, whoever wrote the handler."""

from datetime import UTC, datetime
from typing import Any

from litestar import Request

from mesh.events.console import ConsoleChanged
from mesh.mesh import Mesh
from mesh.web.sessions import Person

_NOTED = "audit"


def note(request: Request[Any, Any, Any], subject: str = "", **details: str) -> None:
    """Say what a handler changed: the id of the `subject`, and facts that are nobody's personal data."""
    request.state[_NOTED] = (subject, details)


async def record(mesh: Mesh, request: Request[Any, Any, Any], person: Person, action: str) -> None:
    """Store that somebody did what a handler is named after (`change_password`). Raises Unavailable."""
    subject, details = request.state.get(_NOTED) or ("", {})
    changed = ConsoleChanged(
        account_id=person.account.id,
        action=action.replace("_", "-"),
        page=str(request.scope.get("path_template") or request.url.path),
        at=datetime.now(UTC),
        subject=subject,
        details=details,
    )
    await mesh.publish(changed)
