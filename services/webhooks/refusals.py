"""Refusals: what cannot be done with a webhook, as a page for people and as problem details (RFC 9457) for scripts."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from litestar import Request, Response

from mesh.errors import Conflict, InvalidField
from mesh.web.console import Console, wants_page
from mesh.web.problems import problem
from services.webhooks.managing import UnknownWebhook

STATUSES: dict[type[Exception], int] = {InvalidField: 422, UnknownWebhook: 404, Conflict: 409}
Handler = Callable[[Request[Any, Any, Any], Any], Response[Any]]


def refusals(console: Console) -> dict[type[Exception] | int, Handler]:
    """Litestar's `exception_handlers` of the routes."""

    def handler(status: int) -> Handler:
        def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
            words = words_of(error)
            if wants_page(request):
                return console.refusal(request, status, HTTPStatus(status).phrase, words)
            return problem(status, words)

        return respond

    return {kind: handler(status) for kind, status in STATUSES.items()}


def words_of(error: Exception) -> str:
    """What is wrong, with the field's name where it is one's."""
    if isinstance(error, InvalidField) and error.path not in ("$", ""):
        return f"{error.path.removeprefix('$.')}: {error.reason}"
    return str(error)
