"""The overview of a year: months that come to what their days come to, and no more than twelve of them are read."""

from datetime import UTC, date, datetime, timedelta

from mesh import Mesh, Received
from mesh.broker.memory import MemoryMesh
from notifications.studio.decision_pages.figures import FiguresWriter
from notifications.studio.decision_pages.overview import YEAR, read_overview
from tests.approved_offer import approved_offer

TODAY = date(2026, 5, 4)
AGO = (0, 3, 4, 40, 200, 337, 338, 360)
"""When carts were left, in days: the first of the twelve months begins 337 days ago."""


async def counted():
    """A region in which an offer was approved on each of these days, of two journeys in turn."""
    mesh = Mesh(MemoryMesh("us", "eu").broker("us"), "studio", others=("eu",))
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    events = [
        approved_offer(number, journey=f"j{number % 2}", due=now - timedelta(days=ago))
        for number, ago in enumerate(AGO)
    ]
    log = [
        Received(event=one, id=f"e{at}", time=now, stored=now, region="us", sequence=at + 1, subject="s")
        for at, one in enumerate(events)
    ]
    await FiguresWriter(mesh).apply(log)
    return mesh


async def test_a_year_is_twelve_months():
    """The last one is not over; what was before the first one is not in it."""
    found = await read_overview(await counted(), regions=("us", "eu"), days=YEAR, today=TODAY)

    assert (found.period, len(found.by_period)) == ("month", 12)
    assert [found.by_period[0].name, found.by_period[-1].name] == ["2025-06", "2026-05"]
    assert {row.name: row.count("evaluated") for row in found.by_period if row.figures} == {
        "2025-06": 1,
        "2025-10": 1,
        "2026-03": 1,
        "2026-04": 1,
        "2026-05": 2,
    }
    assert found.whole.count("approved") == 6
    assert {row.name: row.count("approved") for row in found.journeys} == {"j0": 3, "j1": 3}
    assert found.most == 2


async def test_a_year_of_one_journey_is_its_own():
    """Its months have nothing of others."""
    found = await read_overview(await counted(), regions=("us",), days=YEAR, today=TODAY, journey="j1")

    assert [row.name for row in found.journeys] == ["j1"]
    assert sum(row.count("approved") for row in found.by_period) == found.whole.count("approved") == 3


async def test_days_are_days():
    """Of thirty days each has its row, and all journeys together come to what the journeys do."""
    found = await read_overview(await counted(), regions=("us",), days=30, today=TODAY)

    assert (found.period, len(found.by_period)) == ("day", 30)
    assert found.whole.count("approved") == sum(row.count("approved") for row in found.journeys) == 3
