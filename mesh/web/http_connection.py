"""HTTP connection: one request after the other over HTTP/1.1 (RFC 9112), each with its whole response."""

import asyncio
import re
import select
import ssl
from collections.abc import Mapping
from typing import NamedTuple, cast

MOST_HEAD, MOST_BODY = 64 << 10, 16 << 20
"""The most bytes of a response's head and of its body."""
_status_line = re.compile(r"HTTP/1\.([01]) ([1-9]\d\d)(?: .*)?").fullmatch
_digits = re.compile(rb"[0-9]{1,18}").fullmatch
_hexadecimal = re.compile(rb"[0-9A-Fa-f]{1,15}").fullmatch


class CallFailed(Exception):
    """There is no response, or none that can be understood: whether the request was obeyed is not known."""


class Response(NamedTuple):
    """A response: its status, its headers (names in lower case) and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of those that say so."""
        return 200 <= self.status < 300


class HttpConnection(asyncio.Protocol):
    """A connection to one server. What comes while nothing is asked, such as a 408, ends it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._asking = self._ended = False
        self._news: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None) -> "HttpConnection":
        """Connect. Raises CallFailed."""
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(cls, host, port, ssl=tls, server_hostname=host if tls else None)
        except OSError as error:
            raise CallFailed(f"cannot connect to {host}:{port}: {error or type(error).__name__}") from error
        return made

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not (self._asking or self._ended)

    @property
    def is_quiet(self) -> bool:
        """Whether it is usable, and nothing has come that the event loop has not read yet, such as its end."""
        if not self.usable or self._transport is None:
            return False
        looking = select.poll()
        looking.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not looking.poll(0)

    def close(self) -> None:
        """End it at once, with what is under way."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes, *, has_body: bool = True) -> Response:
        """Send a request and wait for the whole response; `has_body` is False for HEAD. Raises CallFailed.

        Whatever ends it early ends the connection.
        """
        if self._transport is None or not self.usable:
            raise CallFailed("the connection was closed")
        self._asking = True
        try:
            self._transport.write(request)
            version, status, headers = await self._head()
            while status < 200:  # 100 Continue, 103 Early Hints
                version, status, headers = await self._head()
            body, is_whole = await self._body(status, headers) if has_body else (b"", True)
        except BaseException:
            self.close()
            raise
        if self._received or not is_whole or version == 0 or "close" in headers.get("connection", "").lower():
            self.close()
        self._asking = False
        return Response(status, headers, body)

    # What the response consists of

    async def _head(self) -> tuple[int, int, dict[str, str]]:
        first, *lines = (await self._until(b"\r\n\r\n", MOST_HEAD)).decode("latin-1").split("\r\n")
        found = _status_line(first)
        if not found:
            raise CallFailed(f"no response of HTTP/1.1: {first[:60]!r}")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise CallFailed(f"no header of HTTP/1.1: {line[:60]!r}")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return int(found[1]), int(found[2]), headers

    async def _body(self, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        """The body, and whether its length was told, so that the connection can go on."""
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if status in (204, 304):
            return b"", True
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise CallFailed(f"a body whose length is not certain: Transfer-Encoding {coding[:60]!r}")
            return await self._chunks(), True
        if length is None:
            return await self._rest(), False
        if not _digits(length.encode()) or int(length) > MOST_BODY:
            raise CallFailed(f"Content-Length {length[:60]!r}: at most {MOST_BODY:,} bytes are taken")
        return await self._exactly(int(length)), True

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = (await self._until(b"\r\n", MOST_HEAD)).partition(b";")[0].strip()
            if not _hexadecimal(size) or len(body) + int(size, 16) > MOST_BODY:
                raise CallFailed(f"a chunk of {bytes(size[:20])!r}: at most {MOST_BODY:,} bytes are taken")
            if not int(size, 16):
                break
            body += await self._exactly(int(size, 16))
            if await self._exactly(2) != b"\r\n":
                raise CallFailed("a chunk that is longer than it says")
        while await self._until(b"\r\n", MOST_HEAD):
            pass  # trailers say nothing that is used
        return bytes(body)

    # Bytes as they come

    async def _until(self, end: bytes, most: int) -> bytes:
        """What comes before `end`, which is taken away too."""
        while (at := self._received.find(end)) < 0:
            if len(self._received) > most:
                raise CallFailed(f"a head of more than {most:,} bytes")
            await self._more()
        found = bytes(self._received[:at])
        del self._received[: at + len(end)]
        return found

    async def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            await self._more()
        found = bytes(self._received[:count])
        del self._received[:count]
        return found

    async def _rest(self) -> bytes:
        while not self._ended:
            if len(self._received) > MOST_BODY:
                raise CallFailed(f"a body of more than {MOST_BODY:,} bytes")
            await self._news_or_end()
        return bytes(self._received)

    async def _more(self) -> None:
        if self._ended:
            raise CallFailed("the connection was closed before the response was whole")
        await self._news_or_end()

    async def _news_or_end(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)  # of TCP or TLS; uvloop's own are no subclasses

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if not self._asking:
            self.close()
            return
        self._received += data
        self._wake()

    def eof_received(self) -> None:
        """The server sends nothing more."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the caller learns that it ended
        """It is over."""
        self._ended = True
        self._wake()
