"""Serving: an ASGI app over HTTP in this event loop, with bounds on connections and on how long a request may take."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import msgspec

from mesh.errors import MeshError
from mesh.runtime.ports import free_ports
from mesh.settings import read

RESERVED_FILES = 512
"""Open files that are left for everything that is no connection of a client: NATS, logs, modules."""

LISTENS_WITHIN = 60.0
"""Seconds after which a server that does not listen has failed; a busy machine needs some of them."""


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an HTTP service takes connections.

    `http_connections` are open at once, whether they ask for something or not; up to `http_backlog` more wait until one
    is closed. A connection that has not sent the whole head of a request within `http_head_deadline`, also one that is
    kept alive between two requests, is closed.
    """

    http_connections: int = 16_384
    http_backlog: int = 4_096
    http_head_deadline: timedelta = timedelta(seconds=15)


@asynccontextmanager
async def serving(app: Any, host: str, port: int, settings: HttpSettings | None = None) -> AsyncIterator[int]:
    """An ASGI app served by granian; yields the port (0: any free one). Settings are the environment's unless given."""
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415  only processes that serve
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.server.embed import Server  # noqa: PLC0415

    chosen = settings or read(HttpSettings)
    port = port or free_ports(1)[0]
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        # HTTP/1 alone: where the protocol is guessed, a connection that sends nothing has no deadline.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(chosen.http_head_deadline / timedelta(milliseconds=1))),
        websockets=False,
        backlog=chosen.http_backlog,
        # Called so, it bounds open connections. Left out, it is the backlog's size.
        backpressure=min(chosen.http_connections, files_for_connections()),
        log_access=False,
        log_enabled=False,
    )
    task = asyncio.create_task(server.serve())
    try:
        await _listening(task, host, port)
        yield port
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        with suppress(TimeoutError, asyncio.TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(task, timedelta(seconds=10).total_seconds())


def files_for_connections() -> int:
    """How many connections this process has open files for; the soft limit is raised to the hard one first.

    With more it could not accept one, and would lose its connection to NATS with the next reconnect.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 1 << 20)
    if soft < hard:
        with suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES)


async def _listening(task: "asyncio.Task[None]", host: str, port: int) -> None:
    deadline = asyncio.get_running_loop().time() + LISTENS_WITHIN
    while asyncio.get_running_loop().time() < deadline:
        if task.done():
            raise MeshError(f"the HTTP server on {host}:{port} did not start: {task.exception()}")
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise MeshError(f"the HTTP server on {host}:{port} does not listen")
