"""Closed together: contexts that are opened one after the other, and closed all at the same time."""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class ClosedTogether:
    """Services of one process take seconds to drain: what waits for one does not hold up the others.

    Each context is opened and closed by a task of its own, because a task group or a timeout inside of it may only
    be left by the task that entered it.
    """

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Nothing is open yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all; the first error is raised once the last context is closed."""
        self._closing.set()
        for failed in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(failed, BaseException) and error is None:
                raise failed

    async def open(self, context: AbstractAsyncContextManager[T]) -> T:
        """What the context gives; raises what entering it raises."""
        opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._hold(context, opened))
        first: set[asyncio.Future[Any]] = {opened, task}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not opened.done():
            await task  # it raises
        self._tasks.append(task)
        return opened.result()

    async def _hold(self, context: AbstractAsyncContextManager[T], opened: "asyncio.Future[T]") -> None:
        async with context as given:
            opened.set_result(given)
            await self._closing.wait()
