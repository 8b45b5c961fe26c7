"""The watch on real servers, as its own user: it may measure, and nothing else, and it outlives a server."""

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from mesh.errors import Denied, Unavailable
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshMeasured
from mesh.observability.event_counts import event_counters
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.derive.nats import consumers
from mesh.topology.mesh_toml import Topology
from services.operations.watch import service

DAY = timedelta(days=1)


@asynccontextmanager
async def region(nodes):
    """A region with every service's streams and consumers: (servers, connect_as), where connect_as(user) connects."""
    async with AsyncExitStack() as stack:
        topology = Topology.of(["us"], nodes=nodes)
        servers = await stack.enter_async_context(LocalServers(topology, services=discover()))

        async def connect_as(user):
            mesh = await connect(servers.access, "us", user)
            stack.push_async_callback(mesh.broker.drain)
            return mesh

        yield servers, connect_as


async def measured(operator):
    """The newest measurement; None before the first, and while the stream elects a leader."""
    try:
        newest = await operator.last(MeshMeasured, "us")
    except Unavailable:
        return None
    return newest.event if newest else None


async def flow_of(operator, type_):
    newest = await measured(operator)
    return (
        next(((flow.total, flow.last_hour) for flow in newest.event_counts if flow.type == type_), None)
        if newest
        else None
    )


async def test_a_region_is_measured_by_a_user_that_may_do_nothing_else(eventually, capsys):
    """Counts, lags and dead letters are right, also after a restart; messages, personal ones too, are out of reach."""
    async with region(1) as (servers, connect_as):
        operator, watch, replica = await connect_as("operator"), await connect_as("watch"), await connect_as("watch")
        await operator.publish(CartUpdated(cart_id="c0", visitor_id="v", lines=()))
        await operator.publish(ConsentChanged(visitor_id="v", channel="email", granted=True))

        async with running(service, watch), running(service, replica):

            async def counts_begin():
                return await flow_of(operator, "cart.updated") == (0, 1)

            await eventually(counts_begin)
            await operator.publish(*(ProductViewed(visitor_id="v", product_id=f"p{at}") for at in range(50)))
            await operator.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))

            async def counted():
                views, carts = "interaction.product_viewed", "cart.updated"
                return (await flow_of(operator, views), await flow_of(operator, carts)) == ((50, 50), (1, 2))

            await eventually(counted)

            async def lags_known():
                report = await measured(operator)
                behind = {lag.durable: lag.pending for lag in report.consumers}
                waiting = (behind["scoring-score-visitors"], behind["scoring-keep-carts"])
                return report if waiting == (50, 2) else None

            report = await eventually(lags_known)
            known = {(spec.stream, spec.durable) for spec in consumers(discover(), "us")}
            assert (report.nodes, report.nodes_up, report.dead_letters) == (1, 1, 0)
            assert {(lag.stream, lag.durable) for lag in report.consumers} == known

        async with running(service, await connect_as("watch")):
            again = datetime.now(UTC)

            async def goes_on():
                report = await measured(operator)
                return report and report.at > again and await counted()

            await eventually(goes_on)
        ticks = [received.event.at async for received in operator.read(MeshMeasured)]
        assert len(set(ticks)) == len(ticks), "two replicas tell each tick once"
        assert "denied" not in "".join(capsys.readouterr())
        # A busy server's list may lack a durable, which is then created as it is: that is not the watch's doing.
        left = [one for one in await servers.apply() if one.verb != "create"]
        assert left == [], "what the watch leaves behind is nothing that apply knows of"

        pii, mail = "pii.us.customer.consent_changed.*", "pii.us.customer.consent_changed.v"
        for forbidden in (
            watch.broker.last("COMMERCE_us", "ev.us.cart.updated.c1"),
            watch.broker.last("PERSONAL_us", mail),
            watch.broker.count("PERSONAL_us", pii, datetime.now(UTC) - DAY),
            watch.broker.create_event_counter("COMMERCE_us", "scoring-keep-carts", "ev.us.cart.updated.*", DAY),
            watch.broker.delete_event_counter("COMMERCE_us", "scoring-keep-carts"),
            watch.broker.follow("COMMERCE_us", ("ev.us.cart.updated.*",), None),
        ):
            with pytest.raises(Denied):
                await forbidden


@pytest.mark.timeout(300)
async def test_a_lost_server_is_seen_and_its_counts_begin_again(eventually):
    """The region measures on with two of three, and every event stays in the hour."""
    async with region(3) as (servers, connect_as):
        operator = await connect_as("operator")
        async with running(service, await connect_as("watch")):

            async def whole():
                report = await measured(operator)
                return report and (report.nodes, report.nodes_up, len(report.event_counts)) == (
                    3,
                    3,
                    len(event_counters("us")),
                )

            await eventually(whole, within=30)
            await operator.publish(*(ProductViewed(visitor_id="v", product_id=f"p{at}") for at in range(20)))

            # Some of what processes keep for themselves goes down with the server.
            following = [await operator.broker.follow("COMMERCE_us", ("ev.us.cart.>",), None) for _ in range(8)]

            await servers.kill_node("us", 2)

            async def one_is_down():
                report = await measured(operator)
                return report and (report.nodes, report.nodes_up) == (3, 2)

            await eventually(one_is_down, within=40)

            async def hour(expected):
                report = await flow_of(operator, "interaction.product_viewed")
                return report and report[1] == expected

            await eventually(lambda: hour(20), within=30)
            await operator.publish(*(ProductViewed(visitor_id="v", product_id=f"q{at}") for at in range(5)))

            await eventually(lambda: hour(25), within=30)
            differences = await servers.apply()
            alone = [one for one in discover() for binding in one.bindings if binding.one_copy]
            assert alone, "some consumer is kept by one server"
            assert {one.verb for one in differences} <= {"wait"}, "an upgrade waits for no count, nor for a lost server"
            assert all("its one server is down" in one.detail for one in differences)
            for one in following:
                await one.close()
