"""Feeds: what services fetch from brokers, stored as requests are, and the brokers that cannot be reached, reported."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from litestar.exceptions import HTTPException

from mesh.accept import SERVER
from mesh.errors import MeshError, Unavailable
from mesh.observability.logs import log
from mesh.runtime.discovery import discover
from mesh.translate import Feed, Foreign
from services.gateway.foreign import stored, understood
from services.gateway.judged import Sender
from services.gateway.seen import Seen
from services.gateway.write_side import WriteSide

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before a broker is tried again, which double; and before a message is, while JetStream is away."""


def declared_feeds() -> list[Feed]:
    """Every feed that the discovered services build. Raises DeclarationError for a setting that is wrong."""
    return [feed for service in discover() for build in service.feeds for feed in build()]


class Feeds:
    """The feeds of a process, from `start` to `stop`."""

    def __init__(self, feeds: Iterable[Feed], write_side: WriteSide) -> None:
        self._feeds, self._write_side = list(feeds), write_side
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to fetch."""
        self._tasks = [asyncio.create_task(self._follow(feed)) for feed in self._feeds]

    async def stop(self) -> None:
        """Fetch nothing more. What was not stored was not acknowledged: the broker delivers it again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, feed: Feed) -> None:
        sender = Sender(scope=f"{feed.source}_{feed.name}", by=SERVER, types=feed.adapter.types)
        pause = FIRST_PAUSE

        async def take(foreign: Foreign) -> bool:
            nonlocal pause
            pause = FIRST_PAUSE
            return await self._take(foreign, feed, sender)

        while True:
            error = await _ended(feed.run(take))
            reason = f"{str(error) or type(error).__name__}; tried again in {pause:g} s"
            log.warning("a feed is interrupted", source=feed.source, name=feed.name, reason=reason)
            seen = self._seen(feed, sender)
            seen.status = 503
            self._write_side.reports.add(seen, reason)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _take(self, foreign: Foreign, feed: Feed, sender: Sender) -> bool:
        """Store a message, however long JetStream is away. False where nothing of it can ever be taken."""
        pause = FIRST_PAUSE
        while True:
            seen, reason = self._seen(feed, sender), ""
            try:
                translated = understood(foreign, sender, feed.adapter, seen)
                answer = await stored(
                    translated,
                    sender,
                    self._write_side,
                    seen,
                    request=None,
                    route=f"{feed.source} {feed.name}",
                    received=foreign.received,
                )
                seen.status = 422 if answer.rejected and not answer.accepted else 200
            except Unavailable as error:
                log.warning("a message is not stored yet", source=feed.source, name=feed.name, error=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            except HTTPException as error:
                seen.status, reason = error.status_code, error.detail
            except MeshError as error:
                seen.status, reason = 422, str(error)
            except Exception as error:  # noqa: BLE001  a defect with one message keeps no other from being taken
                log.error("a message failed here", source=feed.source, name=feed.name, exc_info=error)
                seen.status, reason = 500, "a defect here; the log has it"
            self._write_side.reports.add(seen, reason)
            return seen.status < 400

    def _seen(self, feed: Feed, sender: Sender) -> Seen:
        seen = Seen(feed.source, feed.place)
        seen.sender = sender
        return seen


async def _ended(run: Coroutine[Any, Any, None]) -> BaseException:
    """What a feed ended with: a library that cancels the task that it runs in ends that one alone."""
    running = asyncio.create_task(run)
    try:
        await asyncio.wait({running})
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if running.cancelled():
        return ConnectionError("the connection was given up")
    return running.exception() or ConnectionError("the broker has ended it")
