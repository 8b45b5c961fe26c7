"""A projection whose place one server keeps: made so, changed both ways, and whole after that server's death."""

from contextlib import suppress
from datetime import timedelta

import pytest

from mesh.errors import Unavailable
from mesh.events.cart import CartUpdated
from mesh.mesh import Mesh
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.streams import Bucket
from mesh.topology.apply import api
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology

SEEN: Bucket[int] = Bucket("seen", int, rebuilt=True)
DURABLE = "CONSUMER.INFO.COMMERCE_us.viewer-count-carts"


def viewer(*, one_copy):
    service = Service("viewer", publishes=(CartUpdated,), buckets=(SEEN,))

    async def count_carts(updated: CartUpdated, mesh: Mesh) -> None:
        """Counts how often each cart was seen."""
        state = mesh.state(SEEN)
        await state.put(updated.cart_id, (await state.get(updated.cart_id) or 0) + 1)

    service.on(CartUpdated, projects=SEEN, one_copy=one_copy, ack_wait=timedelta(seconds=2))(count_carts)
    return service


@pytest.mark.timeout(180)
async def test_nothing_is_missed_when_its_server_is_killed(eventually):
    """What was stored meanwhile is handled once the server is back; what was handled last may be handled again."""
    service = viewer(one_copy=True)
    async with LocalServers(Topology.of(["us"], nodes=3), services=[service]) as servers:
        mesh = await connect(servers.access, "us", "viewer")
        operator = await servers.operator("us")
        cluster = (await api(operator, DURABLE))["cluster"]
        keeper = int(cluster["leader"].rpartition("-")[2])
        state = mesh.state(SEEN)

        async def count(cart):
            with suppress(Unavailable):  # a bucket whose leader was killed elects another
                return await state.get(cart)

        try:
            async with running(service, mesh):
                await mesh.publish(CartUpdated(cart_id="before", visitor_id="v", lines=()))
                await eventually(lambda: state.get("before"), within=30)

                await servers.kill_node("us", keeper)
                await mesh.publish(CartUpdated(cart_id="meanwhile", visitor_id="v", lines=()))
                await servers.start_node("us", keeper)
                await mesh.publish(CartUpdated(cart_id="after", visitor_id="v", lines=()))
                await eventually(lambda: count("meanwhile"), within=60)
                await eventually(lambda: count("after"), within=60)

            assert not cluster.get("replicas")
            assert await count("before") in (1, 2)
        finally:
            await mesh.broker.drain()


async def test_the_copies_can_be_changed_both_ways(eventually):
    """Applying a declaration that differs only in this says so, and does so."""
    async with LocalServers(Topology.of(["us"], nodes=3), services=[viewer(one_copy=False)]) as servers:
        operator = await servers.operator("us")
        changed = "~ us: change consumer viewer-count-carts on COMMERCE_us (num_replicas)"

        async def copies():
            cluster = (await api(operator, DURABLE)).get("cluster")  # it has none while it moves
            return 1 + len(cluster.get("replicas") or []) if cluster else 0

        for one_copy, wanted in ((True, 1), (False, 3)):
            differences = await servers.apply([viewer(one_copy=one_copy)])

            async def done(wanted=wanted):
                return await copies() == wanted

            assert [str(one) for one in differences] == [changed]
            await eventually(done, within=60)
