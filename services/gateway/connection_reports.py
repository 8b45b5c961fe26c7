"""Connection reports: what came in, published twice a second at most, whatever the load."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

from litestar.exceptions import HTTPException

from mesh import Mesh
from mesh.errors import MeshError, Unavailable
from mesh.events.connection import ConnectionReported, SeenRequest
from mesh.observability.logs import log
from services.gateway.seen import Seen

EVERY = 0.5
"""Seconds between two reports of one process."""
MOST_REFUSED = 20
MOST_OTHERS = 10
"""How many requests one report holds. A storefront's developer sends few; of a flood the first refused say why."""


class ConnectionReports:
    """Gathers the requests of a process and publishes them."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh, self._reporter = mesh, f"{mesh.region}-{token_hex(4)}"
        self._refused: list[SeenRequest] = []
        self._others: list[SeenRequest] = []
        self._left_out = 0
        self._publishing: asyncio.Task[None] | None = None

    def add(self, seen: Seen, reason: str = "") -> None:
        """Report a request soon; `reason` where all of it was refused."""
        bad = seen.status >= 400 or seen.rejected or seen.not_understood or seen.ignored
        kept, most = (self._refused, MOST_REFUSED) if bad else (self._others, MOST_OTHERS)
        if len(kept) < most:
            kept.append(seen.report(reason))
        else:
            self._left_out += 1
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.create_task(self._publish_soon())

    @contextmanager
    def seeing(self, source: str, path: str) -> Iterator[Seen]:
        """What is known of a request while it is answered; it is reported at the end, also where it is refused."""
        seen = Seen(source, path)
        try:
            yield seen
        except HTTPException as error:
            seen.status = error.status_code
            self.add(seen, error.detail)
            raise
        except MeshError as error:
            seen.status = 503 if isinstance(error, Unavailable) else 422
            self.add(seen, str(error))
            raise
        self.add(seen)

    async def _publish_soon(self) -> None:
        while self._refused or self._others:
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Publish what was gathered. What cannot be published is left out: the requests themselves were answered."""
        requests = tuple(sorted((*self._refused, *self._others), key=lambda one: one.at))
        left_out, self._left_out = self._left_out, 0
        self._refused, self._others = [], []
        if not requests:
            return
        report = ConnectionReported(reporter=self._reporter, requests=requests, left_out=left_out)
        try:
            await self._mesh.publish(report)
        except (MeshError, OSError) as error:
            log.warning("what came in could not be reported", requests=len(requests), error=str(error))
