"""Rows of the lake that are older than a version of their event are read as the newest one."""

import sys
from types import new_class

from mesh.event import Event, event
from mesh.lake.reading import read_history, scan_history
from mesh.lake.rows import rows_of
from mesh.lake.settings import LakeSettings
from mesh.lake.table import lake_tables


def declare(version=1, upcasts=(), **fields):
    """`cart.painted` in a version."""
    body = {"__module__": "mesh.events.cart", "__doc__": "A cart was painted."}
    body["__annotations__"] = {"cart_id": str, **fields}
    kind = new_class("CartPainted", (Event,), {}, lambda namespace: namespace.update(body))
    return event(key="cart_id", version=version, upcasts=upcasts)(kind)


async def test_a_new_version_changes_no_table(mesh, monkeypatch, tmp_path):
    """The row stays as it was said, and the upcast that reads streams reads it too."""
    module = sys.modules[Event.__module__]  # `mesh.event` is also the name of the decorator
    for registry in ("_by_type", "_by_name", "_by_kind"):
        monkeypatch.setattr(module, registry, dict(getattr(module, registry)))
    monkeypatch.setenv("CARTMESH_LAKE", str(tmp_path))
    await mesh.publish(declare(color=str)(cart_id="c1", color="red"))
    table = next(one for one in lake_tables(mesh, LakeSettings(lake=str(tmp_path))) if one.name == "commerce")
    messages = [one async for one in mesh.broker.read("COMMERCE_us", ["ev.us.>"])]
    table.append(rows_of(messages), after=0, place=messages[-1].sequence)

    newest = declare(version=2, upcasts=(lambda data: data | {"colour": data.pop("color")},), colour=str)
    await mesh.publish(newest(cart_id="c2", colour="blue"))
    events = [one.event async for one in read_history(mesh, newest)]
    rows = (await scan_history(mesh, newest)).collect()

    assert events == [newest(cart_id="c1", colour="red"), newest(cart_id="c2", colour="blue")]
    assert rows["type"].to_list() == ["cart.painted.v1", "cart.painted.v2"]
    assert rows["data"][0] == '{"cart_id":"c1","color":"red"}'
