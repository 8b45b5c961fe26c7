"""A rebuild is refused only where neither the stream nor the lake has what happened."""

from datetime import timedelta

import pytest

from mesh.errors import TopologyError
from mesh.events.cart import CartUpdated
from mesh.lake.past import open_past
from mesh.lake.rows import rows_of
from mesh.lake.settings import LakeSettings
from mesh.lake.table import lake_tables
from mesh.operations.rebuild_past import StreamPast, refuse_without_its_past

DAY = timedelta(days=1)
KEEP = 400 * DAY


@pytest.fixture
async def lake(mesh, tmp_path):
    """What a lake has of ten carts, all of its stream."""
    settings = LakeSettings(lake=str(tmp_path), lake_reserve_mb=0)
    for _ in range(10):
        await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
    messages = [one async for one in mesh.broker.read("COMMERCE_us", ["ev.us.>"])]
    table = next(one for one in lake_tables(mesh, settings) if one.stream == "COMMERCE_us")
    table.load()
    table.append(rows_of(messages), after=0, place=messages[-1].sequence)
    return await open_past(mesh, "COMMERCE_us", settings)


def stream(created, first, keep=KEEP):
    """A stream's information: since when there is one, and the first sequence that it still has."""
    return {
        "created": created.isoformat(),
        "config": {"max_age": int(keep.total_seconds() * 1e9)},
        "state": {"first_seq": first, "last_seq": 5000},
    }


def refused(info, lake, bucket="orders"):
    """Why a rebuild is refused; None where it is not."""
    pasts = {"COMMERCE_us": StreamPast(lake, info)} if lake else {}
    try:
        refuse_without_its_past(bucket, {"COMMERCE_us": info}, pasts)
    except TopologyError as error:
        return str(error)
    return None


async def test_an_old_stream_is_rebuilt_where_a_lake_has_its_past(lake):
    """Begun while the stream still had everything, and not behind it."""
    keep = 100 * DAY
    young, old = stream(lake.begun - 50 * DAY, 11, keep), stream(lake.begun - 101 * DAY, 11, keep)

    assert refused(young, None) is None
    assert "there is no lake" in refused(old, None)
    assert "the lake begins on" in refused(old, lake)

    aged = stream(lake.begun - timedelta(microseconds=1), 11, timedelta(microseconds=2))
    assert "there is no lake" in refused(aged, None)
    assert refused(aged, lake) is None
    aged["state"]["first_seq"] = 500
    assert "the lake ends on" in refused(aged, lake)


async def test_a_stream_that_never_took_anything_has_lost_nothing(lake):
    """As the copies of a region that has no others."""
    empty = stream(lake.begun - 1000 * DAY, 0)
    empty["state"]["last_seq"] = 0

    assert refused(empty, None) is None
