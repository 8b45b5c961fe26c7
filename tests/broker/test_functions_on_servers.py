"""Functions on a real server, with no more rights than the service has."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mesh import Money
from mesh.errors import Denied
from mesh.events.function import FunctionEmitted
from mesh.events.function_call import FunctionCallEnded
from mesh.events.order import OrderConfirmed
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.streams import ConsumerSpec
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR
from services.functions import FunctionsView, ReadFunctions
from services.functions import service as functions
from services.functions.functions import Functions
from services.loyalty import service as loyalty
from services.orders import service as orders

TOPOLOGY = Topology.load(Path(__file__).parents[2] / "mesh.toml").only("us", nodes=1)
STAMPS = """
from mesh.events.order import OrderCancelled, OrderConfirmed
from mesh.function import Emit, function

@function(on=OrderConfirmed, publishes=("stamp.given",))
def give_stamp(happened):
    return Emit("stamp.given", key=happened.order_id)
"""


def order(id_):
    return OrderConfirmed(order_id=id_, lines=(), total=Money(amount=900, currency="EUR"), visitor_id="v")


async def test_a_function_has_a_durable_of_its_own_and_no_other_is_in_its_reach(tmp_path, monkeypatch, eventually):
    """What it is called for may change, what happens while it is down waits, and others' consumers are safe."""
    monkeypatch.setenv("CARTMESH_FUNCTIONS_FOLDER", str(tmp_path))
    monkeypatch.setenv("CARTMESH_FUNCTIONS_LOOK", "1h")
    (tmp_path / "stamps.py").write_text(STAMPS)
    async with AsyncExitStack() as stack:
        servers = LocalServers(TOPOLOGY, services=[functions, orders, loyalty])
        await stack.enter_async_context(servers)

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        shop, operator = await mesh("orders"), await mesh(OPERATOR)

        async def emitted(*keys):
            async def found():
                return sorted([one.event.key async for one in operator.read(FunctionEmitted)]) == sorted(keys)

            await eventually(found)

        service = await mesh("functions")
        async with running(functions, service) as run:
            await run.provided[Functions].look()
            await shop.publish(order("o1"))
            await emitted("o1")
            view = await operator.ask("functions", "read-functions", ReadFunctions(), FunctionsView)
            (tmp_path / "stamps.py").write_text(
                STAMPS.replace("on=OrderConfirmed", "on=(OrderConfirmed, OrderCancelled)")
            )
            await run.provided[Functions].look()
            await shop.publish(order("o2"))
            await emitted("o1", "o2")
        await shop.publish(order("o3"))
        async with running(functions, await mesh("functions")):
            await emitted("o1", "o2", "o3")

        (state,) = (await operator.broker.consumer_states("COMMERCE_us", ["functions-give-stamp"])).values()
        assert [file.functions[0].name for file in view.files] == ["give_stamp"]
        assert state.filters == {"ev.us.order.confirmed.*", "ev.us.order.cancelled.*"}
        calls = [one.event async for one in operator.read(FunctionCallEnded)]
        assert [one.outcome for one in calls] == ["done", "done", "done"]

        intruder = await mesh("functions")
        (durable,) = {spec.durable for b in loyalty.bindings[:1] for spec in b.consumers("us", TOPOLOGY.layout)}
        spec = ConsumerSpec(stream="COMMERCE_us", durable=durable, filters=("ev.us.order.paid.*",), deliver_new=True)
        with pytest.raises(Denied):
            await intruder.broker.make_durable(spec)
        personal = ConsumerSpec(stream="PERSONAL_us", durable="functions-x", filters=("pii.us.>",))
        with pytest.raises(Denied):
            await intruder.broker.make_durable(personal)
