"""A mesh is looked at when something is wrong with it."""

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
