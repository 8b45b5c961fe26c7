"""HTTP with a provider: every call has a deadline, and every answer is definite, or its outcome is unknown."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec

from mesh.observability.logs import log
from mesh.web.http_client import HttpClient
from mesh.web.http_connection import CallFailed
from services.payments.provider import OutcomeUnknown, RequestRefused

DECLINED = 402
_AGAIN = (408, 409, 425, 429)
"""Not done yet, or not now: in progress under the same key, or too many requests."""
_NOT_LET_IN = (401, 403)


class ProviderHttp:
    """A client for one provider's API. `deadline` bounds a whole call, from the first byte to the last."""

    def __init__(self, client: HttpClient, deadline: timedelta) -> None:
        self._client, self._deadline = client, deadline.total_seconds()

    async def call(self, method: str, path: str, *, key: str | None = None, **content: Any) -> tuple[int, Any]:
        """Status (below 400, or 402) and decoded JSON. Raises OutcomeUnknown and RequestRefused.

        `key` is the idempotency key; `content` is the client's `json`, `data` or `params`.
        """
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._client.request(method, path, headers=headers, **content)
            answer = msgspec.json.decode(response.body)
        except CallFailed as error:
            raise OutcomeUnknown(f"{method} {path}: {error}") from error
        except TimeoutError as error:
            raise OutcomeUnknown(f"{method} {path}: no answer in {self._deadline:g} s") from error
        except msgspec.DecodeError as error:
            raise OutcomeUnknown(f"{method} {path}: {response.status} without JSON") from error
        status = response.status
        if status < 400 or status == DECLINED:
            return status, answer
        if status in _NOT_LET_IN:
            log.error("the payment provider refuses this service's key", status=status)
        if status >= 500 or status in _AGAIN or status in _NOT_LET_IN:
            raise OutcomeUnknown(f"{method} {path}: {status}")
        raise RequestRefused(_reason(answer) or f"{method} {path}: {status}")


def _reason(answer: Any) -> str:
    """What a provider says of a refusal: Stripe's error object, or a problem by RFC 9457."""
    error = answer.get("error", answer) if isinstance(answer, dict) else {}
    if not isinstance(error, dict):
        return str(error)
    reasons = (error.get("code"), error.get("message") or error.get("detail"))
    return ": ".join(str(part) for part in reasons if part)
