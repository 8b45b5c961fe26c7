"""Endpoint client: one attempt to deliver a message by HTTPS, bounded in time and in what is read.

No redirect is followed: it could lead anywhere. Of the response a status of 2xx counts, and the body is read for the
log alone, at most `MOST_READ` bytes and for `BODY_PATIENCE`.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import perf_counter
from typing import NamedTuple

import httpcore
import msgspec

from mesh.web.checked_network import AddressRefused, CheckedNetwork
from mesh.web.http_connection import CallFailed, Head, HttpConnection, request_head
from mesh.web.kept_connections import KeptConnections
from mesh.web.retry_after import retry_after

MOST_READ, MOST_SHOWN = 16 * 1024, 300
"""Bytes of a response's body that are read, and characters of an error or answer that are kept."""
BODY_PATIENCE = 1.0
GONE = 410


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt. `duration` is in milliseconds; `error` says what is wrong, None where nothing is."""

    duration: float
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after: datetime | None = None

    @property
    def delivered(self) -> bool:
        """Whether the destination took it."""
        return self.error is None

    @property
    def gone(self) -> bool:
        """Whether an endpoint says that it wants nothing more (410)."""
        return self.status == GONE


class EndpointClient:
    """Connections to one endpoint: its own, so that it keeps nobody else's busy."""

    def __init__(
        self, network: CheckedNetwork, tls: ssl.SSLContext, *, connect: timedelta, deadline: timedelta
    ) -> None:
        """`connect` bounds name, connection and TLS, `deadline` a whole attempt."""
        self._deadline = deadline.total_seconds()
        self._connections = KeptConnections(network, tls, connect=connect.total_seconds())

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Post a body. Whatever goes wrong is in the response; nothing is raised."""
        begun = perf_counter()

        def took() -> float:
            return round((perf_counter() - begun) * 1000, 1)

        try:
            async with asyncio.timeout(self._deadline):
                response, connection = await self._post(url, headers, body)
            try:
                answer = await _beginning(connection)
            finally:
                await self._connections.give_back(connection, _place(url).origin)
        except TimeoutError:
            return Response(duration=took(), error=f"no answer within {self._deadline:g} s")
        except AddressRefused as refused:
            return Response(duration=took(), error=str(refused))
        except CallFailed as error:
            return Response(duration=took(), error=str(error)[:MOST_SHOWN])
        except Exception as error:  # noqa: BLE001  whatever an endpoint does, it is an attempt that failed
            return Response(duration=took(), error=f"{type(error).__name__}: {error}"[:MOST_SHOWN])
        return Response(
            duration=took(),
            status=response.status,
            error=_wrong(response.status),
            answer=answer,
            retry_after=retry_after(response.headers.get("retry-after", ""), datetime.now(UTC)),
        )

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Head, HttpConnection]:
        place = _place(url)
        fields = [
            ("Host", place.authority),
            *headers.items(),
            ("Content-Length", str(len(body))),
            ("Accept-Encoding", "identity"),
        ]
        head = request_head("POST", place.target, fields)
        connection = await self._connections.take(place.origin)
        try:
            return await connection.ask(head + body), connection
        except BaseException:
            await connection.close()
            raise

    async def close(self) -> None:
        """Close its connections."""
        await self._connections.close()


async def _beginning(connection: HttpConnection) -> str:
    """The first characters of the body; a longer or slower one is not waited for."""
    with suppress(TimeoutError, CallFailed):
        async with asyncio.timeout(BODY_PATIENCE):
            await connection.body(MOST_READ)
    read = connection.body_so_far
    text = read[: 4 * MOST_SHOWN].decode("utf-8", "replace")[:MOST_SHOWN]
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def _wrong(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"{status}: redirects are not followed; enter the address that it leads to"
    return f"answered {status}"


class _Place(NamedTuple):
    """Where a URL leads: whom to connect to, what to ask for there, and the host as the header has it."""

    origin: httpcore.Origin
    target: str
    authority: str


@lru_cache(4096)
def _place(url: str) -> _Place:
    read = httpcore.URL(url)
    host = read.host.decode("ascii")
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return _Place(read.origin, read.target.decode("ascii"), host if read.port is None else f"{host}:{read.port}")
