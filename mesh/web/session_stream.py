"""Session stream: an event stream ends soon after its session does, although its request was admitted long ago."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from mesh.errors import MeshError

CHECKED_EVERY = 5.0
"""Seconds after which an open stream's session is looked at again."""


class SessionStream:
    """One response. `is_open` says whether the session still is; other responses than event streams are left alone."""

    def __init__(self, is_open: Callable[[], Awaitable[bool]], send: Send) -> None:
        self._is_open, self._send = is_open, send
        self._watching: asyncio.Task[None] | None = None
        self._ended = False

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Respond until the app has, or the session has ended."""
        work = asyncio.create_task(self._respond(app, scope, receive))
        try:
            await asyncio.wait({work})
        finally:
            if self._watching is not None:
                self._watching.cancel()
            if not work.done():  # this request is being cancelled
                work.cancel()
        if not self._ended:
            work.result()

    async def _respond(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        work = asyncio.current_task()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_stream(message):
                self._watching = asyncio.create_task(self._watch(work))
            await self._send(message)

        await app(scope, receive, send)

    async def _watch(self, work: "asyncio.Task[None] | None") -> None:
        while True:
            await asyncio.sleep(CHECKED_EVERY)
            with suppress(MeshError):  # while JetStream does not answer, the stream goes on
                if not await self._is_open() and work is not None:
                    self._ended = True
                    work.cancel()
                    await asyncio.wait({work})
                    await self._send({"type": "http.response.body", "body": b"", "more_body": False})
                    return


def _is_stream(message: Any) -> bool:
    return any(name.lower() == b"content-type" and b"text/event-stream" in value for name, value in message["headers"])
