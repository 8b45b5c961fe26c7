"""Functions on a real server, with no more rights than the service has."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh import Mesh, Money
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
from services.functions import service as functions
from services.functions.cli import list_functions, logs
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


@dataclass
class House:
    """A region, the folder of its functions, and who orders there."""

    mesh: Callable[[str], Any]
    folder: Path
    servers: Path
    orders: Mesh
    operator: Mesh
    eventually: Callable[..., Any]

    async def order(self, id_: str) -> None:
        """An order is confirmed."""
        total = Money(amount=900, currency="EUR")
        await self.orders.publish(OrderConfirmed(order_id=id_, lines=(), total=total, visitor_id="v"))

    async def stamped(self, *orders: str) -> None:
        """Wait until just these orders have their stamps."""

        async def found() -> bool:
            return sorted([one.event.key async for one in self.operator.read(FunctionEmitted)]) == sorted(orders)

        await self.eventually(found)


@pytest.fixture
async def house(tmp_path, monkeypatch, eventually):
    folder = tmp_path / "functions"
    folder.mkdir()
    monkeypatch.setenv("CARTMESH_FUNCTIONS_FOLDER", str(folder))
    monkeypatch.setenv("CARTMESH_FUNCTIONS_LOOK", "1h")
    for patient in ("DEADLINE", "START_DEADLINE", "CPU"):
        monkeypatch.setenv(f"CARTMESH_FUNCTIONS_{patient}", "60s")
    (folder / "stamps.py").write_text(STAMPS)
    async with AsyncExitStack() as stack:
        servers = LocalServers(TOPOLOGY, services=[functions, orders, loyalty])
        await stack.enter_async_context(servers)
        servers.access.write(tmp_path / "servers.json")

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        yield House(mesh, folder, tmp_path / "servers.json", await mesh("orders"), await mesh(OPERATOR), eventually)


async def test_a_function_has_a_durable_of_its_own(house):
    """What it is called for may change; what happens while the service is down waits for it."""
    async with running(functions, await house.mesh("functions")) as run:
        await run.provided[Functions].look()
        await house.order("o1")
        await house.stamped("o1")
        changed = STAMPS.replace("on=OrderConfirmed", "on=(OrderConfirmed, OrderCancelled)")
        (house.folder / "stamps.py").write_text(changed)
        await run.provided[Functions].look()
        await house.order("o2")
        await house.stamped("o1", "o2")
    await house.order("o3")
    async with running(functions, await house.mesh("functions")):
        await house.stamped("o1", "o2", "o3")

    (state,) = (await house.operator.broker.consumer_states("COMMERCE_us", ["functions-give-stamp"])).values()
    calls = [one.event async for one in house.operator.read(FunctionCallEnded)]
    assert state.filters == {"ev.us.order.confirmed.*", "ev.us.order.cancelled.*"}
    assert [one.outcome for one in calls] == ["done", "done", "done"]


async def test_others_durables_and_personal_events_are_out_of_reach(house):
    """Also of whoever has the service's password: a name that another service has, and a stream that is not for it."""
    service = await house.mesh("functions")
    (theirs,) = {spec.durable for one in loyalty.bindings[:1] for spec in one.consumers("us", TOPOLOGY.layout)}

    for stream, durable in (("COMMERCE_us", theirs), ("PERSONAL_us", "functions-x"), ("OPERATIONS_us", "functions-x")):
        spec = ConsumerSpec(stream=stream, durable=durable, filters=("ev.us.order.paid.*",), deliver_new=True)
        with pytest.raises(Denied):
            await service.broker.make_durable(spec)


async def test_commands_show_what_runs_and_what_was_called(house, capsys):
    """`list` ends with 1 where a file does not run, and says why; `logs` shows each call."""
    async with running(functions, await house.mesh("functions")) as run:
        await run.provided[Functions].look()
        await house.order("o1")
        await house.stamped("o1")
        await asyncio.to_thread(list_functions, servers=house.servers)
        listed = capsys.readouterr().out
        (house.folder / "broken.py").write_text("x = \n")
        await run.provided[Functions].look()
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(list_functions, servers=house.servers)
        broken = capsys.readouterr().out
    await asyncio.to_thread(logs, "give_stamp", servers=house.servers)
    logged = capsys.readouterr().out

    assert "give_stamp" in listed
    assert ended.value.code == 1
    assert "broken.py: SyntaxError in line 1: invalid syntax" in broken
    assert logged.count("order.confirmed.v1") == 1
