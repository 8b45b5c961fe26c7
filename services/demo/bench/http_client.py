"""The least an HTTP/1.1 client can do, so that a benchmark measures the gateway and not its own client.

httpx takes several times the gateway's own time per request, and here both share the cores.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """A response's status and body."""

    status: int
    body: bytes


class HttpClient:
    """Kept-alive connections to one server, each used by one request at a time (RFC 9112, Content-Length bodies)."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._head = (
            f"POST %s HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
        )
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes, headers: str = "") -> Answer:
        """Send a body and wait for the whole answer. Raises OSError or EOFError when a fresh connection is lost.

        `headers` are more of them, each line with its CRLF.
        A connection that was idle may have been closed by the server: then a fresh one is tried.
        """
        while self._idle:
            try:
                return await self._exchange(*self._idle.pop(), path, body, headers)
            except (OSError, EOFError):
                continue
        return await self._exchange(*await asyncio.open_connection(*self._address), path, body, headers)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes, headers: str
    ) -> Answer:
        try:
            writer.write((self._head % (path, len(body), headers)).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            answer = Answer(int(head[9:12]), await reader.readexactly(length))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Close every connection."""
        for _, writer in self._idle:
            writer.close()


@asynccontextmanager
async def connected(url: str, key: str) -> AsyncIterator[HttpClient]:
    """Connections to a gateway, closed when the block ends."""
    client = HttpClient(url, key)
    try:
        yield client
    finally:
        await client.close()
