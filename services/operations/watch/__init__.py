"""Measures its region twice a second: its servers, what its streams took, dead letters; each two seconds lags."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from mesh import Mesh, Service
from mesh.events.mesh import MeshMeasured
from mesh.runtime.discovery import discover
from mesh.topology.derive.nats import consumers
from services.operations.watch.gauges import show
from services.operations.watch.survey import Survey

service = Service("watch", publishes=(MeshMeasured,), measures=True)


@service.resource
async def begin_survey(mesh: Mesh) -> AsyncIterator[Survey]:
    """The survey of the region, with every durable that any service declares."""
    survey = Survey(mesh, consumers(discover(), mesh.region, mesh.layout))
    try:
        yield survey
    finally:
        survey.close()


@service.every(timedelta(milliseconds=500))
async def measure_region(tick: datetime, survey: Survey) -> AsyncIterator[MeshMeasured]:
    """Tell all regions how this one is, and show it to Prometheus."""
    measured = await survey.measured(tick)
    show(measured)
    yield measured
