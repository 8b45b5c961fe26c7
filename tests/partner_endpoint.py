"""A partner's endpoint on this machine: takes webhooks over HTTP, notes them, and answers as a test wants."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken"


@dataclass
class Request:
    """What an endpoint was sent."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in it."""
        return msgspec.json.decode(self.body)


@dataclass
class Endpoint:
    """A partner's server. `answers` gives the response of a path by the number of the request; the default is 200."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: dict[str, Callable[[int, asyncio.StreamWriter], Any]] = field(default_factory=dict)
    open: int = 0

    def url(self, path: str = "/hook") -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, path: str = "/hook") -> list[Request]:
        """What came to a path."""
        return [one for one in self.requests if one.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                headers = {name.lower(): value for name, value in re.findall(r"^([\w-]+): (.*)\r$", head, re.MULTILINE)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Request(path, headers, body, asyncio.get_running_loop().time()))
                answer = self.answers.get(path)
                made = answer(len(self.of(path)), writer) if answer else OK
                if asyncio.iscoroutine(made):
                    made = await made
                if made is None:
                    return
                writer.write(made)
                await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the other side, or the test, has ended
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def opened_endpoint(tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """An endpoint until the block ends."""
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, ssl=tls)
    endpoint.port = server.sockets[0].getsockname()[1]
    try:
        yield endpoint
    finally:
        server.close()


def status(code: int, **headers: str) -> bytes:
    """A response without a body."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\n{lines}\r\n".encode()
