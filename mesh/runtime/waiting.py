"""Waiting for something to become true, with an end to the patience."""

import asyncio
from collections.abc import Awaitable, Callable

from mesh.errors import Unavailable

WITHIN = 60.0
PERIOD = 0.05


async def until(true: Callable[[], Awaitable[bool]], what: str, within: float = WITHIN) -> None:
    """Ask `true` until it is; Unavailable names `what` after `within` seconds. No answer counts as not yet."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + within
    while True:
        try:
            if await true():
                return
        except (Unavailable, OSError):
            pass
        if clock() > deadline:
            raise Unavailable(f"waited {within:g} s for {what}")
        await asyncio.sleep(PERIOD)
