"""JSON request: what an interface for servers reads of a request: its Idempotency-Key, and its body as a struct."""

from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from mesh.text import cleaned_texts

T = TypeVar("T")
MOST_KEY = 255
"""The most characters of an Idempotency-Key."""


def idempotency_key(request: Request[Any, Any, Any]) -> str:
    """The Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). Raises 400."""
    key = request.headers.get("idempotency-key", "").strip()
    if not key or len(key) > MOST_KEY:
        words = f"send a header Idempotency-Key of 1 to {MOST_KEY} characters, a new one for each new request"
        raise HTTPException(words, status_code=400)
    return key


def opened(body: bytes, kind: type[T]) -> T:
    """The body of a request. Raises 400 for what is no JSON, 422 and InvalidField for what is not of that form."""
    try:
        return msgspec.convert(cleaned_texts(msgspec.json.decode(body)), kind)
    except msgspec.ValidationError as wrong:
        raise HTTPException(str(wrong), status_code=422) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise HTTPException(f"the body must be JSON: {wrong}", status_code=400) from None
