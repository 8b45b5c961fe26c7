"""A region's pulse, and how it is heard."""

from datetime import UTC, datetime, timedelta

from mesh import Mesh
from mesh.events.mesh import MeshHeartbeat
from mesh.telemetry import STALENESS
from services.heartbeat import beat, measure_staleness


async def test_each_tick_is_one_beat(mesh):
    """The beat names its region and the tick's time, so that its age is how stale a listener is."""
    tick = datetime(2026, 5, 1, 12, tzinfo=UTC)

    assert [said async for said in beat(tick, mesh)] == [MeshHeartbeat(region="us", at=tick)]


async def test_a_silent_region_grows_stale(regions, mesh):
    """Before the first beat the staleness is infinite, then it is the beat's age, and grows while the link is cut."""
    now = datetime.now(UTC)
    await measure_staleness(now, mesh)
    assert STALENESS.labels("eu")._value.get() == float("inf")

    await Mesh(regions.broker("eu"), "heartbeat").publish(MeshHeartbeat(region="eu", at=now - timedelta(seconds=7)))
    await measure_staleness(now, mesh)

    assert 7 <= STALENESS.labels("eu")._value.get() < 60
