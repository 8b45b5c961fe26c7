"""Provider: who sends text messages, over HTTP. Each is one file; all of them are asked in the same way."""

from typing import Protocol

import httpx
import msgspec

from mesh.observability import tracing
from notifications.channels.delivery_errors import Undelivered, Unknown

NOT_BEGUN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Nothing was sent: the request may be made again."""
BUSY = (429, 503)
"""What providers answer who did not take a message, and may take it later."""
REFUSED_US = (401, 403)


class SmsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sms_from` is the sender: a number (E.164), or a name where networks take one.

    `sms_connections` bounds what is sent at once.
    """

    sms_from: str = ""
    sms_connections: int = 8
    sms_timeout: float = 15.0


class Provider(Protocol):
    """Takes text messages."""

    async def send(self, to: str, text: str) -> str:
        """Have a message sent to a number (E.164); the provider's id of it. Raises Undelivered, Unknown."""


async def post(client: httpx.AsyncClient, url: str, *, headers: dict[str, str], body: bytes) -> httpx.Response:
    """The answer of a provider that took the message. Raises Undelivered where it did not, Unknown where nobody knows.

    A refusal that only the provider's own codes tell from others is the response, with a status of 4xx.
    """
    host = httpx.URL(url).host
    with tracing.span("send text message", "client", attributes={"server.address": host}):
        try:
            response = await client.post(url, headers=headers, content=body)
        except NOT_BEGUN as error:
            raise Undelivered(f"{host} cannot be reached: {type(error).__name__}", again=True) from error
        except httpx.HTTPError as error:
            raise Unknown(f"{type(error).__name__} after the message was handed to {host}") from error
    if response.status_code in BUSY:
        raise Undelivered(f"{host} answered {response.status_code}", again=True)
    if response.status_code in REFUSED_US:
        raise Undelivered(f"{host} refused our credentials ({response.status_code})", again=True)
    if response.status_code >= 500 or 300 <= response.status_code < 400:
        raise Unknown(f"{host} answered {response.status_code}")
    return response
