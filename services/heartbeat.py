"""Lets every region hear that this one is alive, and measures how long ago each other one was heard."""

from datetime import datetime, timedelta

from mesh import Mesh, Service
from mesh.events.mesh import MeshHeartbeat
from mesh.telemetry import STALENESS

service = Service("heartbeat", publishes=(MeshHeartbeat,))


@service.every(timedelta(seconds=1))
async def beat(tick: datetime, mesh: Mesh):  # noqa: ANN201  yields changes
    """Tell all regions that this one is alive."""
    yield MeshHeartbeat(region=mesh.region, at=tick)


@service.every(timedelta(seconds=1))
async def measure_staleness(_: datetime, mesh: Mesh) -> None:
    """Show how old the newest word from each other region is; infinite before the first."""
    for region, age in (await mesh.staleness()).items():
        STALENESS.labels(region).set(age.total_seconds() if age is not None else float("inf"))
