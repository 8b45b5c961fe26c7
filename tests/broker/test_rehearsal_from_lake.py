"""A rehearsal counts the same though the stream has let go of the oldest of its days: the lake has them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh import Mesh
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Outgoing
from mesh.events.cart import CartAbandoned
from mesh.events.offer import OfferDecided
from mesh.lake import past as lake_past
from mesh.lake.rows import rows_of
from mesh.lake.table import lake_tables
from mesh.runtime.local_servers import LocalServers
from mesh.topology.connect import connect
from mesh.topology.jetstream_api import answered
from mesh.topology.mesh_toml import Topology
from notifications.decision_context import DecisionContext
from notifications.journeys import parse
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.rehearsal.past import read_past
from notifications.rehearsal.rehearse import Rehearsal
from notifications.rehearsal.report import report
from notifications.studio import service as studio
from notifications.templates.live import LiveTemplates
from services.orders import service as orders
from tests.past_carts import USUAL, arrive, leave

LEFT, FILED = 30, 20


@pytest.fixture
async def meshes(regions):
    """A region in memory with decided carts, and the studio's connection to servers that are given the same."""
    source = Mesh(regions.broker("us"), "offers")
    await arrive(source)
    live = LiveJourneys([LiveJourney(journey=parse("sale", USUAL, {}), revision=1)])
    context = DecisionContext(journeys=live, templates=LiveTemplates(), secret="secret" * 4)
    for number in range(LEFT):
        await leave(source, context, number)
    async with LocalServers(Topology.of(["us"], nodes=1), services=[studio, orders]) as servers:
        operator = Mesh(JetStreamBroker(await servers.operator("us")), "operator")
        reader = await connect(servers.access, "us", "studio")
        yield source, operator, reader
        await reader.broker.drain()
    await source.broker.drain()


async def copied(source, operator):
    """The carts that were left and what was decided, stored anew; the places in the stream."""
    async for message in source.broker.read("COMMERCE_us", ["ev.us.cart.abandoned.*", "ev.us.offer.decided.*"]):
        await operator.broker.store("COMMERCE_us", Outgoing(subject=message.subject, body=message.body))
    return [message async for message in operator.broker.read("COMMERCE_us", ["ev.us.>"])]


async def rehearsed(mesh):
    until = datetime.now(UTC)
    past = await read_past(mesh, until - timedelta(days=7), until)
    journey = parse("sale", USUAL.replace("cap = 2", "cap = 3"), {})
    rehearsal = Rehearsal(past, journey)
    for _ in rehearsal.steps():
        pass
    found = report(past, journey, rehearsal.results())
    # What is decided has an id and a code that differ each time.
    return msgspec.structs.replace(found, examples=(), changes=tuple(one.cart_id for one in found.changes))


async def test_a_rehearsal_counts_what_only_the_lake_has(meshes, monkeypatch, tmp_path):
    """Each cart once: from the lake, from the stream behind it, and at the seam, which both have."""
    source, operator, reader = meshes
    stored = await copied(source, operator)
    count = sum([1 async for _ in source.read(CartAbandoned, OfferDecided)])
    before = await rehearsed(reader)

    monkeypatch.setattr(lake_past, "WINDOW", 11)
    monkeypatch.setenv("CARTMESH_LAKE", str(tmp_path))
    monkeypatch.setenv("CARTMESH_LAKE_RESERVE_MB", "0")
    empty = await rehearsed(reader)
    table = next(one for one in lake_tables(operator) if one.stream == "COMMERCE_us")
    table.append(rows_of(stored[:FILED]), after=0, place=stored[FILED - 1].sequence)
    both = await rehearsed(reader)
    await answered(operator.broker.connection, "STREAM.PURGE.COMMERCE_us", {"seq": stored[FILED - 5].sequence})
    after = await rehearsed(reader)
    monkeypatch.delenv("CARTMESH_LAKE")
    without = await rehearsed(reader)

    assert (len(stored), before.carts) == (count, LEFT)
    assert empty == both == after == before
    assert without.carts < LEFT


async def test_only_what_was_stored_in_its_time_is_rehearsed(meshes, monkeypatch, tmp_path):
    """The lake has more than that."""
    source, operator, reader = meshes
    stored = await copied(source, operator)
    monkeypatch.setenv("CARTMESH_LAKE", str(tmp_path))
    monkeypatch.setenv("CARTMESH_LAKE_RESERVE_MB", "0")
    table = next(one for one in lake_tables(operator) if one.stream == "COMMERCE_us")
    table.append(rows_of(stored), after=0, place=stored[-1].sequence)
    until = datetime.now(UTC)

    later = await read_past(reader, stored[FILED].stored, until)
    nothing = await read_past(reader, until, until)

    carts = {one.abandoned.sequence for one in later.carts}
    assert carts
    assert min(carts) >= stored[FILED].sequence
    assert nothing.carts == ()
