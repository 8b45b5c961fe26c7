"""The lake holds what the streams hold: every event once, on its own day, readable by others without being asked."""

import subprocess
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import duckdb
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Outgoing
from mesh.envelope import encode
from mesh.events.cart import CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.lake.reading import read_history, scan_history
from mesh.lake.rows import rows_of
from mesh.lake.settings import LakeSettings
from mesh.lake.table import WrittenMeanwhile, lake_tables
from mesh.publish import Draft

ADDRESS = "anna.bauer@example.com"


def viewed(number):
    return ProductViewed(visitor_id=f"v{number}", product_id="p1")


async def test_the_lake_is_exactly_the_log(place):
    """Carts, views and people: the same ids in the same order, each row the event's own attributes and data."""
    for number in range(30):
        await place.mesh.publish(viewed(number))
        await place.mesh.publish(CartUpdated(cart_id=f"c{number}", visitor_id=f"v{number}", lines=()))
    await place.mesh.publish(CustomerIdentified(visitor_id="v1", email=ADDRESS))
    await place.holding("interactions", 30)
    await place.holding("commerce", 30)
    await place.holding("personal", 1)

    for name in ("interactions", "commerce", "personal"):
        log, rows = await place.log(f"{name.upper()}_us"), place.rows(name)
        assert rows["id"].to_list() == [one["id"] for one in log]
        assert rows["type"].to_list() == [one["type"] for one in log]
        assert rows["data"].str.json_decode(infer_schema_length=None).to_list() == [one["data"] for one in log]


async def test_what_happened_earlier_lies_on_its_own_day(place):
    """An event that comes late is in the partition of the day on which it happened; one from the future in today's."""
    now = datetime.now(UTC)
    late, early = now - timedelta(days=3), now + timedelta(days=400)

    for at in (late, early):
        await place.mesh.publish(Draft(event=viewed(1), id=f"at-{at.year}", time=at))
    await place.holding("interactions", 2)

    days = place.rows("interactions")["day"].to_list()
    assert days[0] == late.date()
    assert days[1] in (now.date(), datetime.now(UTC).date())


async def test_duckdb_reads_it_unasked(place):
    """By its own Delta extension, with nothing of Cartmesh's."""
    for number in range(5):
        await place.mesh.publish(viewed(number))
    await place.holding("interactions", 5)

    database = duckdb.connect()
    (extension,) = files("duckdb_extension_delta").joinpath("extensions").rglob("delta.duckdb_extension")
    database.load_extension(str(extension))
    table = place.folder / "us" / "interactions"
    counted = database.sql(
        f"SELECT type, count(DISTINCT data->>'$.visitor_id') FROM delta_scan('{table}') GROUP BY ALL"
    ).fetchall()

    assert counted == [("interaction.product_viewed.v1", 5)]


async def test_erasing_a_person_erases_them_in_the_lake(place):
    """No file ever has their address; once their key is destroyed nobody reads it from the lake again."""
    await place.mesh.publish(CustomerIdentified(visitor_id="v1", email=ADDRESS))
    await place.holding("personal", 1)

    before = [one.event.email async for one in read_history(place.mesh, CustomerIdentified)]
    await place.mesh.personal_data.destroy("v1")
    after = [one.event.email async for one in read_history(place.mesh, CustomerIdentified)]

    assert (before, after) == ([ADDRESS], [None])
    stored = [path for path in place.folder.rglob("*") if path.is_file()]
    assert "aes-siv:" in place.rows("personal")["data"][0]
    assert [path for path in stored if ADDRESS.encode() in path.read_bytes()] == []


async def test_no_event_is_read_twice_at_the_seam(mesh, monkeypatch, tmp_path):
    """What the lake holds comes from it, what the stream holds behind it from there, in the same form."""
    monkeypatch.setenv("CARTMESH_LAKE", str(tmp_path))
    for number in range(15):
        await mesh.publish(viewed(number))
    messages = [one async for one in mesh.broker.read("INTERACTIONS_us", ["ev.us.>"])]
    table = table_of(mesh, LakeSettings(lake=str(tmp_path), lake_reserve_mb=0))
    table.append(rows_of(messages[:10]), after=0, place=messages[9].sequence)

    events = [one async for one in read_history(mesh, ProductViewed)]
    rows = (await scan_history(mesh, ProductViewed)).collect()
    direct = [one async for one in mesh.read(ProductViewed)]

    assert table.contents().types[0]["rows"] == 10
    assert events == direct
    assert rows["id"].to_list() == [one.id for one in direct]


def table_of(mesh, settings=None):
    """The table of views, as one process has loaded it."""
    table = next(one for one in lake_tables(mesh, settings) if one.name == "interactions")
    table.load()
    return table


async def test_without_a_lake_the_streams_are_read(place, monkeypatch):
    """As before there was one."""
    monkeypatch.delenv("CARTMESH_LAKE")
    await place.mesh.publish(viewed(1))

    assert len([one async for one in read_history(place.mesh, ProductViewed)]) == 1
    assert len((await scan_history(place.mesh, ProductViewed)).collect()) == 1


async def test_two_writers_of_one_stream_do_not_both_commit(mesh, tmp_path):
    """Whoever did not know of the other's commit adds nothing, and knows the place once it has loaded the table."""
    for number in range(2):
        await mesh.publish(viewed(number))
    messages = [one async for one in mesh.broker.read("INTERACTIONS_us", ["ev.us.>"])]
    settings = LakeSettings(lake=str(tmp_path), lake_reserve_mb=0)
    table_of(mesh, settings).append(rows_of(messages[:1]), after=0, place=1)
    first, second, third = (table_of(mesh, settings) for _ in range(3))

    first.append(rows_of(messages[1:]), after=1, place=2)
    with pytest.raises(WrittenMeanwhile, match="another process"):
        second.append(rows_of(messages[1:]), after=1, place=2)
    third.compact(keep=timedelta(0))  # which loads the table as it is now
    with pytest.raises(WrittenMeanwhile, match="is at 2"):
        third.append(rows_of(messages[1:]), after=1, place=2)

    assert table_of(mesh, settings).place == messages[1].sequence == 2
    assert table_of(mesh, settings).contents().types[0]["rows"] == 2


async def test_many_small_files_become_one(open_place):
    """Compaction and its checkpoint leave the rows, their place and what comes after as they were."""
    place = await open_place()
    for number in range(4):
        await place.mesh.publish(viewed(number))
        await place.holding("interactions", number + 1)
    table = table_of(place.mesh)
    before = place.rows("interactions")

    table.compact(keep=timedelta(0))
    compacted = await place.table("interactions")
    await place.mesh.publish(viewed(5))
    await place.holding("interactions", 5)

    assert compacted.types[0].files == 1
    assert len(list((place.folder / "us" / "interactions").rglob("day=*/*.parquet"))) == 2
    assert compacted.place == 4
    assert place.rows("interactions").head(4).equals(before)


async def test_what_is_no_event_is_kept_and_kept_apart(place):
    """No CloudEvent, one under a subject not its own, and one that is no UTF-8 are rows that no reader takes."""
    forged = encode(viewed(2), id="forged", region="us", source="shop", time=datetime.now(UTC))
    for subject, body in (
        ("ev.us.interaction.product_viewed.v1", b"\xff{"),
        ("ev.us.interaction.list_viewed.v2", forged),
        ("ev.us.interaction.product_viewed.v2", forged.replace(b'"p1"', b'"\xff"')),
    ):
        await place.mesh.broker.store("INTERACTIONS_us", Outgoing(subject=subject, body=body))
    await place.mesh.publish(viewed(1))
    await place.holding("interactions", 4)

    assert place.rows("interactions")["type"].to_list() == ["unreadable"] * 3 + ["interaction.product_viewed.v1"]
    assert [one.event async for one in read_history(place.mesh, ProductViewed)] == [viewed(1)]


@pytest.mark.parametrize("events", [1, 5])
async def test_another_stream_than_the_one_before_is_refused(open_place, events):
    """A stream that ends before what the table holds, or goes on otherwise; the reason says what to do."""
    first = await open_place()
    for number in range(3):
        await first.mesh.publish(viewed(number))
    await first.holding("interactions", 3)
    await first.run.stop()

    regions = MemoryMesh("us")
    await Mesh(regions.broker("us"), "shop").publish(*(viewed(10 + at) for at in range(events)))
    second = await open_place(regions)

    async def error():
        return (await second.table("interactions")).error

    assert "name another place with CARTMESH_LAKE" in await second.eventually(error)
    assert len(second.rows("interactions")) == 3


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


async def test_a_full_disk_loses_nothing(open_place, small_disk):
    """Nothing is half committed while it is full, the page says so, and with space everything is there once."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**21 - 2**16))
    place = await open_place(folder=small_disk / "lake")
    count = 0
    while not (failing := (await place.table("interactions")).error):
        await place.mesh.publish(*(viewed(count + at) for at in range(50)))
        count += 50
    held = place.held("interactions")

    ballast.unlink()
    await place.holding("interactions", count)

    assert "cannot be written" in failing or "MB left" in failing
    log = [one["id"] for one in await place.log("INTERACTIONS_us")]
    assert held == log[: len(held)] != log
    assert place.held("interactions") == log
    assert (await place.table("interactions")).error == ""
