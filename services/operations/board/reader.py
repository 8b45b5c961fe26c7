"""Reader: one open stream, counted until its connection is gone, and let go when it takes nothing for a while."""

import asyncio
from collections.abc import Callable

from litestar.exceptions import LitestarException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from services.operations.board.live import Live


def counted(live: Live) -> Callable[[ASGIApp], ASGIApp]:
    """Middleware for the stream.

    A generator that waits for its reader is not told that the reader went away, so the reader is counted here.
    """

    def wrap(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            gone = False

            async def tell(message: Message) -> None:
                nonlocal gone
                try:
                    async with asyncio.timeout(live.patience):
                        await send(message)
                except TimeoutError:
                    gone = True
                    raise

            live.open += 1
            try:
                await app(scope, receive, tell)
            except (TimeoutError, LitestarException):
                if not gone:
                    raise
            finally:
                live.open -= 1

        return answer

    return wrap
