"""Attempt writer: stores what came of attempts, many in one commit, with the timers that follow from them."""

import asyncio
from collections.abc import Sequence

from mesh import Mesh
from mesh.errors import MeshError, Unavailable
from mesh.observability.logs import log
from mesh.publish import Change

TOGETHER, WAITING = 200, 2_000
"""The most attempts in one commit, and the most that wait for one: then nothing more is attempted."""
PAUSE = 1.0


class AttemptWriter:
    """What one process attempted. `put` waits where too much is not stored yet."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._waiting: asyncio.Queue[Sequence[Change]] = asyncio.Queue(WAITING)

    async def put(self, changes: Sequence[Change]) -> None:
        """Have the changes of one attempt stored soon, in one commit."""
        await self._waiting.put(changes)

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            attempts = [await self._waiting.get()]
            while len(attempts) < TOGETHER and not self._waiting.empty():
                attempts.append(self._waiting.get_nowait())
            await self._store(attempts)
            for _ in attempts:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait until everything is stored."""
        await self._waiting.join()

    async def _store(self, attempts: list[Sequence[Change]]) -> None:
        while True:
            try:
                await self._mesh.publish(*(change for changes in attempts for change in changes))
            except Unavailable as error:
                log.warning("attempts are not stored yet", attempts=len(attempts), error=str(error))
                await asyncio.sleep(PAUSE)
            except MeshError as error:
                if len(attempts) == 1:  # its timer is still there: it is delivered again
                    log.error("an attempt is not stored", error=str(error))
                    return
                for one in attempts:
                    await self._store([one])
                return
            else:
                return
