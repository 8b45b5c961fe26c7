"""What the mesh says about itself."""

from datetime import datetime, timedelta

from mesh.event import Event, event


@event(key="region", ttl=timedelta(minutes=10))
class MeshHeartbeat(Event):
    """A region is alive. Its age, read in another region, is how stale that region's view is."""

    region: str
    at: datetime
