"""Body deadline: a request whose body does not arrive in time is refused, so that nobody keeps it open byte by byte."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send


class BodySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Within which time the whole body of a request must have arrived, counted from the end of its head."""

    http_body_deadline: timedelta = timedelta(seconds=15)


def body_deadline(deadline: timedelta) -> Callable[[ASGIApp], ASGIApp]:
    """A middleware that answers 408 to a body that takes longer. What comes after the body may wait for ever."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            until, whole = asyncio.get_running_loop().time() + deadline.total_seconds(), False

            async def receive_in_time() -> Any:
                nonlocal whole
                if whole:
                    return await receive()
                try:
                    async with asyncio.timeout_at(until):
                        message = await receive()
                except TimeoutError:
                    words = f"the body did not arrive within {deadline.total_seconds():g} s"
                    raise HTTPException(words, status_code=408, headers={"Connection": "close"}) from None
                whole = not message.get("more_body", False)
                return message

            await app(scope, receive_in_time, send)

        return respond

    return wrap
