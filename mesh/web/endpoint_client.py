"""Endpoint client: one attempt to deliver a message by HTTPS, bounded in time and in what is read.

No redirect is followed: it could lead anywhere. Of the response a status of 2xx counts, and the body is read for the
log alone, at most `MOST_READ` bytes and for `BODY_PATIENCE`.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter

import httpcore
import msgspec

from mesh.web.checked_network import AddressRefused, CheckedNetwork
from mesh.web.retry_after import retry_after

MOST_READ, MOST_SHOWN = 16 * 1024, 300
"""Bytes of a response's body that are read, and characters of an error or answer that are kept."""
BODY_PATIENCE = 1.0
GONE = 410
KEPT_IDLE = 30.0
"""Seconds that an idle connection is kept."""


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
        self._connect, self._deadline = connect.total_seconds(), deadline.total_seconds()
        self._network, self._tls = network, tls
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Post a body. Whatever goes wrong is in the response; nothing is raised."""
        begun = perf_counter()

        def took() -> float:
            return round((perf_counter() - begun) * 1000, 1)

        try:
            async with asyncio.timeout(self._deadline):
                response, connection = await self._post(url, headers, body)
            try:
                answer = await _beginning(response)
            finally:
                await response.aclose()
                self._keep(connection)
        except TimeoutError:
            return Response(duration=took(), error=f"no answer within {self._deadline:g} s")
        except AddressRefused as refused:
            return Response(duration=took(), error=str(refused))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            return Response(duration=took(), error=_words(error))
        except Exception as error:  # noqa: BLE001  whatever an endpoint does, it is an attempt that failed
            return Response(duration=took(), error=f"{type(error).__name__}: {error}"[:MOST_SHOWN])
        return Response(
            duration=took(),
            status=response.status,
            error=_wrong(response.status),
            answer=answer,
            retry_after=retry_after(_header(response, b"retry-after"), datetime.now(UTC)),
        )

    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpcore.Response, httpcore.AsyncHTTPConnection]:
        host = httpcore.URL(url)
        request = httpcore.Request(
            "POST",
            host,
            headers=[
                ("Host", _authority(host)),
                *headers.items(),
                ("Content-Length", str(len(body))),
                ("Accept-Encoding", "identity"),
            ],
            content=body,
            extensions={"timeout": {"connect": self._connect}},
        )
        connection = await self._connection(host.origin)
        try:
            return await connection.handle_async_request(request), connection
        except BaseException:
            await connection.aclose()
            raise

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """One that was kept and is still open, or a new one. There are as many as attempts at once."""
        while self._idle:
            kept = self._idle.pop()
            if kept.can_handle_request(origin) and not kept.has_expired():
                return kept
            await kept.aclose()
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=KEPT_IDLE, network_backend=self._network
        )

    def _keep(self, connection: httpcore.AsyncHTTPConnection) -> None:
        if connection.is_idle() and not connection.is_closed():
            self._idle.append(connection)

    async def close(self) -> None:
        """Close its connections."""
        for kept in self._idle:
            with suppress(Exception):
                await kept.aclose()
        self._idle.clear()


async def _beginning(response: httpcore.Response) -> str:
    """The first characters of the body; a longer or slower one is not waited for."""
    read = bytearray()
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(BODY_PATIENCE):
            async for part in response.aiter_stream():
                read += part[: MOST_READ - len(read)]
                if len(read) >= MOST_READ:
                    break
    text = bytes(read[: 4 * MOST_SHOWN]).decode("utf-8", "replace")[:MOST_SHOWN]
    return "".join(one if one.isprintable() else " " for one in text)


def _wrong(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"{status}: redirects are not followed; enter the address that it leads to"
    return f"answered {status}"


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:MOST_SHOWN]


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


def _authority(url: httpcore.URL) -> str:
    host = url.host.decode("ascii")
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return host if url.port is None else f"{host}:{url.port}"
