"""Cross-site request forgery: every unsafe request of a browser must come from a page of the same origin.

Two independent checks, as OWASP's cheat sheet has them: what the browser itself says of the request's origin, and a
token that only pages of this origin can read.
"""

import hmac
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.exceptions import PermissionDeniedException

FIELD, HEADER = "csrf", "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def check(request: Request[Any, Any, Any], expected: str) -> None:
    """Raise 403 unless an unsafe request comes from a page of this origin and carries the expected token."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin") or (origin and urlsplit(origin).netloc != request.headers.get("host")):
        raise PermissionDeniedException("this request comes from another site: open the page itself and try again")
    if not expected or not hmac.compare_digest(await _carried(request), expected):
        raise PermissionDeniedException("this form is out of date: load the page again and send it once more")


async def _carried(request: Request[Any, Any, Any]) -> str:
    header = request.headers.get(HEADER)
    if header is not None:
        return header
    if request.headers.get("content-type", "").startswith(_FORMS):
        return str((await request.form()).get(FIELD, ""))
    return ""
