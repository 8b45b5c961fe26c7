"""Problems: what the document API refuses, in the form of RFC 9457, and where each status comes from."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.exceptions import ValidationException
from litestar.openapi.datastructures import ResponseSpec

from mesh.errors import Conflict, DeclarationError, InvalidKey
from mesh.web.problems import Problem, problem
from notifications.documents.document import UnknownDocument

WORDS = {
    400: "The request is not what the API takes: the detail names the field",
    401: "Nobody is signed in, or the API token is not valid",
    403: "The account has not the role, or the request comes from another site",
    404: "There is no such document, revision or draft",
    408: "The body did not arrive in time",
    409: "Somebody saved or published meanwhile, or another publisher must see the draft first: the detail says who",
    413: "The body is too long",
    422: "The document is wrong: the detail names file and line",
    503: "Not stored now: send the same again",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The OpenAPI responses of a route that may refuse with these statuses."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=WORDS[status],
            generate_examples=False,
            media_type="application/problem+json",  # type: ignore[arg-type]  # Litestar's enum has no name for it
        )
        for status in (401, 403, 408, 413, 503, *statuses)
    }


def _unknown(_: Request[Any, Any, Any], error: UnknownDocument) -> Response[bytes]:
    return problem(404, str(error))


def _wrong(_: Request[Any, Any, Any], error: DeclarationError) -> Response[bytes]:
    return problem(422, str(error))


def _superseded(_: Request[Any, Any, Any], error: Conflict) -> Response[bytes]:
    return problem(409, str(error))


def _bad_name(_: Request[Any, Any, Any], error: InvalidKey) -> Response[bytes]:
    return problem(404, str(error))


def _invalid(_: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    """What the fields of a body or a query are not, each by its name."""
    found = error.extra if isinstance(error.extra, list) else []
    words = [_field(one) for one in found if isinstance(one, Mapping)]
    return problem(400, "; ".join(words) or error.detail)


def _field(one: Mapping[str, Any]) -> str:
    return ": ".join(str(part) for part in (one.get("key"), one.get("message")) if part)


HANDLERS: Any = {
    UnknownDocument: _unknown,
    DeclarationError: _wrong,
    Conflict: _superseded,
    InvalidKey: _bad_name,
    ValidationException: _invalid,
}
