"""The figures of offers on real servers: counted in both regions with the studio's own rights, and rebuilt the same."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.errors import TopologyError
from mesh.operations.rebuild import rebuild
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.jetstream_api import api
from mesh.topology.mesh_toml import Topology
from notifications.cart_timeline import read_timeline
from notifications.mail_reports import service as mail_reports
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.studio.decision_pages.figures import DURABLE, EVERY, OFFER_DAYS, OFFERS, read_days, read_waiting
from notifications.studio.decision_pages.search import find_carts
from services.identity import service as identity
from tests.approved_offer import approved_offer

DUE = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MADE = 30


def decisions(region):
    """Each offer is held at first, and approved the next day."""
    for number in range(1, MADE + 1):
        name = {"offer_id": f"{region}-{number}", "cart_id": f"{region}-c{number}"}
        fields = {"journey": f"j{number % 2}", "due": DUE + timedelta(days=number % 3), **name}
        yield approved_offer(number, outcome="held", reason="quiet hours", **fields)
        yield approved_offer(number, attempt=2, **fields)


@pytest.mark.timeout(240)
async def test_both_regions_count_both_and_a_rebuild_brings_the_same(eventually):
    """What a region copied counts as its own does, and leads to the cart's timeline."""
    services, topology = [offers, studio, mail_reports, identity], Topology.of(["us", "eu"], nodes=1)
    async with LocalServers(topology, services=services) as servers:
        meshes, writers = await everywhere(servers, "studio"), await everywhere(servers, "offers")
        try:
            for region, mesh in writers.items():
                for decided in decisions(region):
                    await mesh.publish(decided)
            await eventually(lambda: waits(meshes["us"], 4 * MADE))
            async with running(studio, meshes["us"]), running(studio, meshes["eu"]):
                here = await eventually(lambda: complete(meshes["us"]))
                there = await eventually(lambda: complete(meshes["eu"]))
                rebuilt = await rebuild(await servers.operator("eu"), topology, services, OFFER_DAYS.name)
                again = await eventually(lambda: complete(meshes["eu"]))
                await eventually(lambda: waits(meshes["eu"], 0))
                story = await read_timeline(meshes["eu"], "us-c1")
                found = await find_carts(meshes["eu"], "us-1")
        finally:
            for mesh in (*meshes.values(), *writers.values()):
                await mesh.broker.drain()

    assert here == there == again
    assert sum(journeys[EVERY]["approved"] for journeys in again.values()) == 2 * MADE
    assert {name for journeys in again.values() for figures in journeys.values() for name in figures} == {
        "approved",
        "evaluated",
    }
    assert (rebuilt.events, rebuilt.keys) == (4 * MADE, 6 + 2)
    assert [(one.region, one.event.outcome) for one in story] == [("us", "held"), ("us", "approved")]
    assert [(one.cart_id, one.by) for one in found] == [("us-c1", "offer")]


async def test_a_rebuild_that_would_lose_the_past_is_refused(eventually):
    """Where the stream no longer keeps what the figures were counted from; `force` counts what is left."""
    services, topology = [offers, studio, mail_reports, identity], Topology.of(["us"], nodes=1)
    async with LocalServers(topology, services=services) as servers:
        studio_mesh, writer = [await connect(servers.access, "us", name) for name in ("studio", "offers")]
        operator = await servers.operator("us")
        try:
            for decided in decisions("us"):
                await writer.publish(decided)
            async with running(studio, studio_mesh):
                before = await eventually(lambda: complete(studio_mesh, "us"))
                config = (await api(operator, "STREAM.INFO.COMMERCE_us"))["config"]
                shorter = config | {"max_age": 1_000_000_000, "duplicate_window": 1_000_000_000}
                assert "error" not in await api(operator, "STREAM.UPDATE.COMMERCE_us", shorter)
                await eventually(lambda: is_empty(operator))
                with pytest.raises(TopologyError, match=r"COMMERCE_us no longer keeps events .* --force"):
                    await rebuild(operator, topology, services, OFFERS.name)
                kept = await complete(studio_mesh, "us")
                forced = await rebuild(operator, topology, services, OFFERS.name, force=True)
        finally:
            for mesh in (studio_mesh, writer):
                await mesh.broker.drain()
    assert kept == before
    assert forced.events == 0


async def is_empty(operator):
    """Whether the stream has let go of everything."""
    return (await api(operator, "STREAM.INFO.COMMERCE_us"))["state"]["messages"] == 0


async def everywhere(servers, service):
    """A service's connection to each region."""
    others = {"us": ("eu",), "eu": ("us",)}
    return {region: await connect(servers.access, region, service, others=others[region]) for region in others}


async def waits(mesh, count):
    """Whether so many events are not counted yet."""
    return await read_waiting(mesh) == count


async def complete(mesh, *regions):
    """The figures once every offer of these regions (of both) is approved, or None."""
    regions = regions or ("us", "eu")
    found = await read_days(mesh, regions, [(DUE + timedelta(days=day)).date() for day in range(3)])
    approved = sum(journeys[EVERY].get("approved", 0) for journeys in found.values())
    return found if approved == len(regions) * MADE else None


def test_whose_place_says_what_is_counted():
    """It is the handler that counts."""
    assert [one.durable for one in studio.bindings if OFFERS in one.projects] == [DURABLE]
