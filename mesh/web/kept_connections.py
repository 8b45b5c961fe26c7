"""Kept connections: one for each request that is under way; those that are idle are used again, the last one first.

As many are open as there are requests at once: bound those.
"""

import ssl
from contextlib import suppress
from time import perf_counter
from typing import NamedTuple

import httpcore

from mesh.web.checked_network import CheckedNetwork
from mesh.web.http_connection import CallFailed, HttpConnection

IDLE_SECONDS = 30.0
"""How long an idle connection is kept."""
MOST_IDLE = 64


class _Idle(NamedTuple):
    connection: HttpConnection
    origin: httpcore.Origin
    until: float


class KeptConnections:
    """Connections over a network. `connect` bounds name, connection and TLS, each in seconds."""

    def __init__(self, network: CheckedNetwork, tls: ssl.SSLContext, *, connect: float | None = None) -> None:
        self._network, self._tls, self._connect = network, tls, connect
        self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: list[_Idle] = []
        self._is_closed = False

    async def take(self, origin: httpcore.Origin) -> HttpConnection:
        """One that was kept and is still open, or a new one. Raises CallFailed and AddressRefused."""
        while self._idle:
            kept = self._idle.pop()
            if kept.origin == origin and kept.until > perf_counter() and kept.connection.is_open:
                return kept.connection
            await kept.connection.close()
        host = origin.host.decode("ascii")
        try:
            stream = await self._network.connect_tcp(host.strip("[]"), origin.port, timeout=self._connect)
            if origin.scheme == b"https":
                stream = await stream.start_tls(self._tls, server_hostname=host, timeout=self._connect)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise CallFailed(str(error) or type(error).__name__) from error
        return HttpConnection(stream)

    async def give_back(self, connection: HttpConnection, origin: httpcore.Origin) -> None:
        """Keep a connection if another request may follow, or close it."""
        if connection.may_be_kept and not self._is_closed and len(self._idle) < MOST_IDLE:
            self._idle.append(_Idle(connection, origin, perf_counter() + IDLE_SECONDS))
        else:
            await connection.close()

    async def close(self) -> None:
        """Close every idle connection; one in use is closed with its response."""
        self._is_closed = True
        while self._idle:
            with suppress(Exception):
                await self._idle.pop().connection.close()
