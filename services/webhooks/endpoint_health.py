"""Endpoint health: since when endpoints have been failing, in this region, also when processes start again."""

from datetime import datetime

import msgspec

from mesh import Bucket, Mesh
from mesh.errors import MeshError
from mesh.observability.logs import log


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint has taken nothing `since` (aware UTC; None: it takes deliveries again), and what it answered last."""

    since: datetime | None
    error: str = ""


HEALTH: Bucket[Failing] = Bucket("webhook-health", Failing)


class EndpointHealth:
    """What one process knows, and the bucket in which all of a region's know it."""

    def __init__(self, mesh: Mesh) -> None:
        self._state = mesh.state(HEALTH)
        self.failing: dict[str, Failing] = {}

    async def load(self) -> None:
        """Read what was known before. Raises Unavailable."""
        self.failing = {key: one async for key, one in self._state.items() if one.since is not None}

    async def succeeded(self, webhook_id: str) -> None:
        """The endpoint took a delivery."""
        if self.failing.pop(webhook_id, None) is not None:
            await self._store(webhook_id, Failing(since=None))

    async def failed(self, webhook_id: str, at: datetime, error: str) -> None:
        """The endpoint did not take one."""
        known = self.failing.get(webhook_id)
        if known is None:
            self.failing[webhook_id] = Failing(since=at, error=error)
            await self._store(webhook_id, self.failing[webhook_id])

    async def failing_since(self, webhook_id: str) -> datetime | None:
        """Since when, as all processes of the region know it. Raises Unavailable."""
        found = await self._state.get(webhook_id)
        if found is None or found.since is None:
            self.failing.pop(webhook_id, None)
            return None
        return found.since

    async def reset(self, webhook_id: str) -> None:
        """Begin anew, as when somebody enables a webhook. Raises Unavailable."""
        self.failing.pop(webhook_id, None)
        await self._state.put(webhook_id, Failing(since=None))

    async def _store(self, webhook_id: str, failing: Failing) -> None:
        try:
            await self._state.update(webhook_id, lambda found: _earlier(found, failing))
        except MeshError as error:  # it is noted with the next change
            log.warning("an endpoint's health is not stored", webhook=webhook_id, error=str(error))


def _earlier(found: Failing | None, now: Failing) -> Failing:
    if found is None or found.since is None or now.since is None:
        return now
    return found if found.since <= now.since else now
