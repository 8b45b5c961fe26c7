"""A region's pulse."""

from datetime import UTC, datetime

from mesh.events.mesh import MeshHeartbeat
from mesh.events.order import PurchaseHeartbeat
from services.carts import beat_after_purchases
from services.operations.heartbeat import beat


async def test_each_tick_is_one_beat(mesh):
    """The beats name their region and the tick's time, so that their age is how stale a listener is."""
    tick = datetime(2026, 5, 1, 12, tzinfo=UTC)

    assert [said async for said in beat(tick, mesh)] == [MeshHeartbeat(region="us", at=tick, purchases=True)]
    assert [said async for said in beat_after_purchases(tick, mesh)] == [PurchaseHeartbeat(region="us", at=tick)]
