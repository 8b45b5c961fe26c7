"""Readers: the open streams of a route, counted until each connection is gone, and bounded."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # services are declared without Litestar: processes that serve no page start sooner
    from litestar.types import ASGIApp, Message, Receive, Scope, Send


class Readers:
    """How many streams of a route are open, at most `most`; one that accepts nothing for `patience` seconds is closed.

    A generator that waits for its reader does not learn that the reader went away, so readers are counted by a
    middleware of the route: `@get("/live", middleware=[readers.middleware()])`.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._most, self._patience = most, patience
        self.open = 0

    @property
    def too_many(self) -> bool:
        """Whether more are open than may be; a request that is being judged counts already."""
        return self.open > self._most

    def middleware(self) -> Callable[["ASGIApp"], "ASGIApp"]:
        """What counts a route's readers: a function, because Litestar copies route handlers and all they hold."""

        def wrap(app: "ASGIApp") -> "ASGIApp":
            async def respond(scope: "Scope", receive: "Receive", send: "Send") -> None:
                await self._serve(app, scope, receive, send)

            return respond

        return wrap

    async def _serve(self, app: "ASGIApp", scope: "Scope", receive: "Receive", send: "Send") -> None:
        gone = False

        async def send_in_time(message: "Message") -> None:
            nonlocal gone
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except TimeoutError:
                gone = True
                raise

        self.open += 1
        try:
            await app(scope, receive, send_in_time)
        except Exception:
            if not gone:  # else it is the timeout, or what Litestar made of it
                raise
        finally:
            self.open -= 1
