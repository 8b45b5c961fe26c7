"""Service reports: each process publishes that a service began, still runs, and was stopped.

Whoever looks at a region knows from them which services run there, on which machines and since when.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from mesh.errors import MeshError
from mesh.events.mesh import ServiceReported, ServiceStarted, ServiceStopped
from mesh.mesh import Mesh
from mesh.observability.logs import log

REPORTED_EVERY = timedelta(seconds=10)
"""The time between two reports of an instance."""
_STOP_PATIENCE = timedelta(seconds=1)
"""How long a process that stops tries to report it: servers that are down must not keep it."""


@asynccontextmanager
async def reporting(mesh: Mesh, *, every: timedelta = REPORTED_EVERY) -> AsyncIterator[str]:
    """Report the service of `mesh` until the block ends; yields the instance's name.

    Reports that cannot be stored are left out: a service neither waits nor fails because of them.
    """
    instance, since = uuid4().hex[:12], datetime.now(UTC)
    task = asyncio.create_task(_report(mesh, instance, since, every), name=f"reports of {mesh.service}")
    try:
        yield instance
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(MeshError, TimeoutError):
            async with asyncio.timeout(_STOP_PATIENCE.total_seconds()):
                await mesh.publish(ServiceStopped(service=mesh.service, instance=instance, at=datetime.now(UTC)))


async def _report(mesh: Mesh, instance: str, since: datetime, every: timedelta) -> None:
    who = {"service": mesh.service, "instance": instance, "machine": socket.gethostname()}
    is_stored = False
    while True:
        try:
            if not is_stored:
                await mesh.publish(ServiceStarted(**who, at=since))
                is_stored = True
            await mesh.publish(ServiceReported(**who, since=since, at=datetime.now(UTC)))
        except MeshError as error:
            log.debug("not reported that a service runs", service=mesh.service, error=str(error))
        await asyncio.sleep(every.total_seconds())
