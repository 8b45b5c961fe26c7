"""The lake's pages: what is in it, how far behind it is, what goes wrong, and how it is begun."""

from html import unescape

import pytest

from mesh.events.interaction import ProductViewed
from services.lake.page import size_in_words


async def test_a_viewer_sees_tables_and_types(open_place, staff):
    """Rows, size and the newest event of each table; of one table its types, and queries that name it."""
    place = await open_place(pages=True)
    viewer = await staff(place.mesh, place.run.port, "viewer")
    await place.mesh.publish(*(ProductViewed(visitor_id=f"v{number}", product_id="p1") for number in range(1_200)))
    await place.holding("interactions", 1_200)

    tables, one = [unescape((await viewer.get(path)).text) for path in ("/lake", "/lake/interactions")]

    assert "1,200" in tables
    assert "Up to date" in tables
    assert str(place.folder) in tables
    assert "interaction.product_viewed.v1" in one
    assert f"delta_scan('{place.folder}/us/interactions')" in one
    assert (await viewer.get("/lake/nothing")).status_code == 404


async def test_without_a_lake_the_page_says_how_to_begin(open_place, staff):
    """Nothing runs, and nothing is missing."""
    place = await open_place(pages=True, LAKE="")
    viewer = await staff(place.mesh, place.run.port, "viewer")

    page = (await viewer.get("/lake")).text

    assert "There is no lake yet" in page
    assert "CARTMESH_LAKE" in page


async def test_what_goes_wrong_stands_on_the_page(open_place, staff, tmp_path):
    """Here the lake's folder is a file."""
    (tmp_path / "file").write_text("no folder")
    place = await open_place(pages=True, folder=tmp_path / "file")
    viewer = await staff(place.mesh, place.run.port, "viewer")
    await place.mesh.publish(ProductViewed(visitor_id="v1", product_id="p1"))

    async def shown():
        page = (await viewer.get("/lake")).text
        return page if "Takes nothing" in page else ""

    assert "The stream keeps what waits" in await place.eventually(shown)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_250_000, "1.2 MB"), (45_600, "46 kB"), (3e15, "3,000.0 TB")],
)
def test_sizes_are_read_at_a_glance(count, words):
    """Two figures."""
    assert size_in_words(count) == words
