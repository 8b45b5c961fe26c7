"""Writer: takes what a stream stores into its table of the lake, exactly once.

Where the stream is read from is what the table says, and nothing else: there is nothing to acknowledge, and whenever a
process ends, what it had not committed is read again. Two writers of one table cannot both commit.
"""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Mesh
from mesh.broker.protocol import Message
from mesh.errors import MeshError
from mesh.lake.past import is_same_stream
from mesh.lake.rows import rows_of
from mesh.lake.table import LakeTable, LakeUnavailable, WrittenMeanwhile
from mesh.observability.logs import log
from services.lake.lake_metrics import COMMITTED, FAILED, WAITING

LOOK_EVERY = 1.0
"""Seconds between two looks at a stream that has nothing new, or `lake_every` where that is less."""
MOST_BYTES = 64 * 2**20
"""Of the events that wait in memory."""
LONGEST_PAUSE = 30.0


class WriterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is committed at once: what came within `lake_every`, or `lake_rows` events where that is less.

    Every `lake_upkeep` small files are put together. Files that this replaced are deleted after `lake_keep_files`:
    whoever reads an older version of a table has so long for it.
    """

    lake_every: timedelta = timedelta(minutes=1)
    lake_rows: int = 50_000
    lake_upkeep: timedelta = timedelta(hours=1)
    lake_keep_files: timedelta = timedelta(days=7)


class StreamWriter:
    """Writes one stream. `run` never ends by itself; what keeps it from writing is in `error` until it is over."""

    def __init__(self, mesh: Mesh, table: LakeTable, settings: WriterSettings) -> None:
        self.table, self.error = table, ""
        self.committed: datetime | None = None
        """When it committed last."""
        self.waiting: list[Message] = []
        """What was read and is not committed yet."""
        self.caught_up = False
        self._mesh, self._settings = mesh, settings
        root = "pii" if table.stream == mesh.layout.personal.stream(mesh.region) else "ev"
        self._pattern = f"{root}.{mesh.region}.>"
        self._after = self._seen = self._bytes = self._failures = 0
        self._due = self._upkeep_due = 0.0
        self._look_every = min(LOOK_EVERY, settings.lake_every.total_seconds())

    async def run(self) -> None:
        """Write until cancelled. Whatever fails is begun again from what the table says."""
        clock = asyncio.get_running_loop().time
        self._upkeep_due = clock() + self._settings.lake_upkeep.total_seconds()
        while True:
            try:
                await self._begin()
                while True:
                    await self._step(clock())
            except WrittenMeanwhile as error:
                log.warning("the lake has another writer", table=self.table.address, error=str(error))
                await asyncio.sleep(random.uniform(0, LOOK_EVERY))  # noqa: S311  not both at once again
            except MeshError as error:
                await self._failed(str(error))
            except Exception as error:  # noqa: BLE001  a defect is shown and tried again, as everything is
                log.error("the lake's writer failed", table=self.table.address, exc_info=error)
                await self._failed(f"{type(error).__name__}: {error}")

    async def _begin(self) -> None:
        await asyncio.to_thread(self.table.load)
        self._after = self._seen = self.table.place
        self.waiting, self._bytes, self.caught_up = [], 0, False
        if not await is_same_stream(self._mesh, self.table):
            raise LakeUnavailable(
                f"{self.table.address} holds another stream than {self.table.stream}, up to {self._seen}: that was "
                "made anew, or restored from an older backup; name another place with CARTMESH_LAKE"
            )

    async def _step(self, now: float) -> None:
        if now >= self._upkeep_due:
            self._upkeep_due = now + self._settings.lake_upkeep.total_seconds()
            await asyncio.to_thread(self.table.compact, self._settings.lake_keep_files)
        await self._fill(now)
        WAITING.labels(self.table.stream).set(len(self.waiting))
        if self._full or (self.waiting and now >= self._due):
            await self._commit()
        elif self.waiting:
            await asyncio.sleep(min(self._look_every, self._due - now))
        else:
            self._recovered()
            await asyncio.sleep(self._look_every)

    @property
    def _full(self) -> bool:
        return len(self.waiting) >= self._settings.lake_rows or self._bytes >= MOST_BYTES

    async def _fill(self, now: float) -> None:
        """Read on from where reading stopped, until the stream's end or until there is enough for a commit."""
        self.caught_up = False
        reading = self._mesh.broker.read(self.table.stream, [self._pattern], after=self._seen)
        async for message in reading:
            if not self.waiting:
                self._due = now + self._settings.lake_every.total_seconds()
            self.waiting.append(message)
            self._seen, self._bytes = message.sequence, self._bytes + len(message.body)
            if self._full:
                return
        self.caught_up = True

    async def _commit(self) -> None:
        rows, place, count = self.waiting, self._seen, len(self.waiting)
        await asyncio.to_thread(self._append, rows, place)
        self._after = place
        COMMITTED.labels(self.table.stream).inc(count)
        WAITING.labels(self.table.stream).set(0)
        self.waiting, self._bytes, self.committed = [], 0, datetime.now(UTC)
        self._recovered()

    def _append(self, messages: list[Message], place: int) -> None:
        self.table.append(rows_of(messages), after=self._after, place=place)

    def _recovered(self) -> None:
        self.error, self._failures = "", 0
        FAILED.labels(self.table.stream).set(0)

    async def _failed(self, reason: str) -> None:
        """Say so, and wait a little longer each time. What waits in memory is read again."""
        self._failures += 1
        if reason != self.error:
            log.error("the lake takes nothing", table=self.table.address, error=reason)
        self.error = reason
        FAILED.labels(self.table.stream).set(1)
        await asyncio.sleep(min(LONGEST_PAUSE, 0.5 * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0))  # noqa: S311
