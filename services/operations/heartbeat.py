"""Shows every region that this one is alive: the age of its newest beat is how stale another's view of it is."""

from datetime import datetime, timedelta

from mesh import Mesh, Service
from mesh.events.mesh import MeshHeartbeat

service = Service("heartbeat", publishes=(MeshHeartbeat,))


@service.every(timedelta(seconds=1))
async def beat(tick: datetime, mesh: Mesh):  # noqa: ANN201  yields changes
    """Tell all regions that this one is alive."""
    yield MeshHeartbeat(region=mesh.region, at=tick, purchases=True)
