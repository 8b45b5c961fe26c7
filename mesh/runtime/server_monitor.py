"""Monitor: what a server reports on its monitoring port."""

import asyncio
from typing import Any

import msgspec

from mesh.errors import TopologyError
from mesh.runtime.process import Process

_WAIT = 2.0


async def page(host: str, port: int, path: str) -> dict[str, Any]:
    """A page such as `/leafz` as JSON; OSError when the server does not answer (HTTP/1.0: the end is the body's)."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), _WAIT)
    except TimeoutError:
        raise OSError(f"{host}:{port} does not answer {path}") from None
    finally:
        writer.close()
    _, _, body = answer.partition(b"\r\n\r\n")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise OSError(f"{host}:{port} answers {path} with {body[:80]!r}") from None


async def accepts(process: Process, port: int) -> bool:
    """Whether clients can connect; OSError while nothing listens, TopologyError once the server has ended."""
    if process.ended:
        raise TopologyError("it ended")
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return True


async def is_healthy(host: str, port: int) -> bool:
    """Whether the server is ready and its JetStream has caught up."""
    return (await page(host, port, "/healthz")).get("status") == "ok"
