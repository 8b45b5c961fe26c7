"""A mesh is looked at when something is wrong with it."""

import asyncio
import io
from datetime import UTC, datetime

from rich.console import Console

from mesh.cli.tables import show_status
from mesh.operations.service_states import ServiceShown
from mesh.operations.status import RegionStatus, StreamStatus, status_of
from mesh.runtime.ports import free_ports
from mesh.runtime.process_list import ListedProcess
from mesh.topology.access import Access, Servers


async def test_a_region_that_is_wholly_down_is_reported_as_such():
    """Nobody waits for servers that do not answer, with TLS or without."""
    plain, secure = free_ports(2)
    access = Access(
        regions={
            "us": Servers(urls={"us-1": f"nats://127.0.0.1:{plain}"}, passwords={"operator": "x"}),
            "eu": Servers(urls={"eu-1": f"tls://127.0.0.1:{secure}"}, passwords={"operator": "x"}),
        }
    )

    statuses = await status_of(access, [])

    assert [(one.region, one.nodes_up, one.error) for one in statuses] == [
        ("us", 0, "none of its servers answers"),
        ("eu", 0, "none of its servers answers"),
    ]


async def test_a_server_of_another_version_is_named():
    """As it says of itself before anybody signs in; it may then hang up."""

    async def pose(_, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.14.6","max_payload":1048576}\r\n')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(pose, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        access = Access(regions={"us": Servers(urls={"us-1": f"nats://127.0.0.1:{port}"}, passwords={"operator": "x"})})
        (us,) = await status_of(access, [])

    out = Console(record=True, width=200, file=io.StringIO())
    show_status([us], out)
    assert us.versions == {"us-1": "2.14.6"}
    assert "us: us-1: nats-server 2.14.6 is not the tested 2.15.1" in out.export_text()


def test_what_is_wrong_is_said_and_the_rest_is_left_out():
    """The short status names what deserves a look; with everything it lists what is well, too."""
    reported = datetime(2026, 5, 1, 12, tzinfo=UTC)
    gone = ServiceShown(region="us", name="offers", state="missing", instances=(), restarts=2, reported=reported)
    never = ServiceShown(region="us", name="lake", state="missing", instances=(), restarts=0, reported=None)
    well = ServiceShown(region="us", name="carts", state="running", instances=(), restarts=0, reported=reported)
    behind = StreamStatus(name="COMMERCE_us", messages=1, bytes=1, leader="us-1", current=2, replicas=3)
    silent = StreamStatus(
        name="MESH_us", messages=1, bytes=1, leader="us-1", current=3, replicas=3, silent_sources=("COMMERCE_eu",)
    )
    us = RegionStatus(region="us", nodes=3, nodes_up=3, streams=(behind, silent), services=(gone, never, well))
    processes = [
        ListedProcess(name="us-1", kind="server", state="running", pid=7, restarts=3),
        ListedProcess(name="us-worker", kind="service", services=("carts",), state="running", pid=8),
    ]

    short, whole = (_printed([us], processes=processes, whole=whole) for whole in (False, True))

    for said in (
        "us: offers does not run; its last report is of 2026-05-01 12:00:00 UTC",
        "us: lake does not run; it has reported nothing in 30 days",
        "us: COMMERCE_us: 2 of 3 copies are current",
        "us: MESH_us hears nothing from COMMERCE_eu",
        "us-1 is running, restarts: 3; `cartmesh logs us-1` says why",
    ):
        assert (said in short, said in whole) == (True, True), said
    assert ("us-worker" in short, "us-worker" in whole) == (False, True)


def test_a_mesh_whose_supervisor_was_killed_is_told_how_to_go_on():
    """Its processes have ended with it, and none of them has to be named."""
    processes = [ListedProcess(name=name, kind=kind, state="gone") for name, kind in (("up", "up"), ("us-1", "server"))]

    printed = _printed([RegionStatus(region="us", nodes=1, nodes_up=0, error="none answers")], processes=processes)

    assert "us: none answers" in printed
    assert "`cartmesh up` does not run here any more: start it with the same --dir, and it goes on" in printed
    assert "cartmesh logs" not in printed


def _printed(regions, **options):
    out = Console(record=True, width=200, file=io.StringIO())
    show_status(regions, out, **options)
    return out.export_text()
