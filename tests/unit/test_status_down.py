"""A mesh is looked at when something is wrong with it."""

import asyncio
import io

from rich.console import Console

from mesh.cli.tables import show_status
from mesh.operations.status import status_of
from mesh.runtime.ports import free_ports
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
