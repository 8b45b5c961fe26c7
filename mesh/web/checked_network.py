"""Checked network: connections for httpcore that only go to public addresses.

A name is resolved here, every address that it has is judged, and the connection is made to one that was judged, so that
no answer of a name server can come between. TLS is for the name that the URL has. Names are resolved in threads of our
own, one at a time for each, so that name servers that do not answer keep nobody else waiting.
"""

import asyncio
import select
import socket
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
from cachetools import TTLCache

from mesh.web.addresses import refusal

REMEMBERED, KNOWN_FOR = 4096, 30.0
"""How many names' addresses are remembered, and for how many seconds."""
THREADS = 32
_BUFFER = 64 * 1024


class AddressRefused(Exception):
    """A host is, or has, an address that nothing is sent to; says which."""


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses alone, and to what is `allowed` (as `host:port`); with `private` to all."""

    def __init__(self, *, private: bool = False, allowed: frozenset[str] = frozenset()) -> None:
        self._private, self._allowed = private, allowed
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")
        self._known: TTLCache[str, tuple[str, ...]] = TTLCache(REMEMBERED, KNOWN_FOR, timer=time.monotonic)
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def resolve(self, host: str, port: int | None = None) -> tuple[str, ...]:
        """The addresses of a host. Raises AddressRefused, and httpcore.ConnectError where it has none."""
        addresses = self._known.get(host)
        if addresses is None:
            if host not in self._asking:
                asking = self._asking[host] = asyncio.create_task(self._ask(host))
                asking.add_done_callback(lambda _: self._asking.pop(host, None))
            addresses = self._known[host] = await asyncio.shield(self._asking[host])
        if not self._may_be_private(host, port) and (reason := next(filter(None, map(refusal, addresses)), None)):
            raise AddressRefused(f"{host}: {reason}")
        return addresses

    def _may_be_private(self, host: str, port: int | None) -> bool:
        return self._private or f"{host}:{port}" in self._allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's own
        local_address: str | None = None,  # noqa: ARG002  the same
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  the same
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first of a host's addresses that takes one."""
        try:
            async with asyncio.timeout(timeout):
                return _Stream(*await self.open(host, port))
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} took no connection in time") from None

    async def open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The same as streams. Raises AddressRefused and httpcore.ConnectError."""
        failed: OSError | None = None
        for address in await self.resolve(host, port):
            try:
                reader, writer = await asyncio.open_connection(address, port, limit=_BUFFER)
            except OSError as error:
                failed = error
                continue
            connected = str(writer.get_extra_info("peername")[0])
            if not self._may_be_private(host, port) and (reason := refusal(connected)):
                writer.transport.abort()
                raise AddressRefused(f"{host}: {reason}")
            return reader, writer
        raise httpcore.ConnectError(f"{host}: {failed.strerror if failed and failed.strerror else 'no address'}")

    async def _ask(self, host: str) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: the name has no address ({error})") from error
        return tuple(dict.fromkeys(str(one[4][0]) for one in found))

    def close(self) -> None:
        """End the threads; one that still waits for a name server ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection. What is written is sent when an answer is read, in one piece: head and body in one packet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's own
        try:
            if self._unsent:
                await self._send()
            if timeout is None:
                return await self._reader.read(max_bytes)
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("no answer in time") from None
        except (OSError, ssl.SSLError) as error:
            raise httpcore.ReadError(str(error) or type(error).__name__) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  the same
        if buffer:
            self._unsent.append(buffer)

    async def _send(self) -> None:
        self._writer.write(b"".join(self._unsent))
        self._unsent.clear()
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.transport.abort()  # a partner that does not answer a close keeps no task

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  the same
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError:
            self._writer.transport.abort()
            raise httpcore.ConnectTimeout("no TLS in time") from None
        except (OSError, ssl.SSLError) as error:
            self._writer.transport.abort()
            raise httpcore.ConnectError(f"TLS: {error}") from error
        return self

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "ssl_object" | "peername" | "sockname":
                return self._writer.get_extra_info(info)
            case "is_readable":  # a kept connection that the other side closed, or sent something on unasked
                reader, writer = self._reader, self._writer
                known = reader.at_eof() or writer.transport.is_closing() or bool(reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001
                return known or _has_arrived(writer.get_extra_info("socket").fileno())
            case _:
                return None


def _has_arrived(socket_number: int) -> bool:
    """Whether something has come that the event loop has not read yet, such as the connection's end."""
    looking = select.poll()
    looking.register(socket_number, select.POLLIN)
    return bool(looking.poll(0))
