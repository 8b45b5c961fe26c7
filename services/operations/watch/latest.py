"""Latest: the newest answer to a question that servers may be slow to answer."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from mesh.errors import MeshError
from mesh.observability.logs import log

T = TypeVar("T")
LASTING = 5.0
"""Seconds for which an answer is still published while no newer one comes."""


class Latest(Generic[T]):
    """Asks again whenever it is wanted and the last asking is over, so that a tick never waits for a slow server.

    An answer of the last `every` seconds is given again.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, every: float = 0.0) -> None:
        self._ask, self._every, self._asking = ask, every, asyncio.Future[None]()
        self._asking.set_result(None)
        self._answer: T | None = None
        self._at = float("-inf")

    async def within(self, seconds: float) -> T | None:
        """What is known after at most so long; None where nothing was answered lately."""
        if self._asking.done() and monotonic() - self._at >= self._every:
            self._asking = asyncio.create_task(self._once())
        await asyncio.wait({self._asking}, timeout=seconds)
        if self._asking.done():
            self._asking.result()  # an unexpected error is raised in the tick
        return self._answer if monotonic() - self._at < LASTING else None

    def close(self) -> None:
        """Ask no more."""
        self._asking.cancel()

    async def _once(self) -> None:
        try:
            self._answer = await self._ask()
        except MeshError as error:
            log.debug("not answered", error=str(error))
        else:
            self._at = monotonic()
