"""The page People on a real server, with no more rights than the service identity has."""

from contextlib import AsyncExitStack

from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from services.carts import service as carts
from services.console import service as console
from services.gateway import service as gateway
from services.identity import service as identity


async def test_a_person_is_found_shown_and_erased(staff, eventually):
    """By their address, with what they said of themselves, until nothing of it can be read."""
    async with AsyncExitStack() as stack:
        servers = LocalServers(Topology.of(["us"], nodes=1), services=[gateway, console, identity, carts])
        await stack.enter_async_context(servers)

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        run = await stack.enter_async_context(running(identity, await mesh("identity"), http=("127.0.0.1", 0)))
        admin = await staff(await mesh("console"), run.port, "admin")
        shop = await mesh("gateway")
        await shop.publish(CustomerIdentified(visitor_id="v1", email="ada@shop.test", name="Ada L.", by="server"))
        await shop.publish(ConsentChanged(visitor_id="v1", channel="email", granted=True, by="server"))

        await (await mesh("carts")).publish(CartUpdated(cart_id="c1", visitor_id="v1", lines=()))

        found = await eventually(lambda: _found(admin))
        shown = await eventually(lambda: _details(admin, "ada@shop.test"))
        held = (await admin.send("/people/v1/export", page="/people/v1")).json()
        erased = await admin.send("/people/v1/erase", page="/people/v1", confirm="erase")
        proof = await eventually(lambda: _contains(admin, erased.headers["location"], "us: erased, 1 key destroyed"))
        after = await admin.send("/people/v1/details", page="/people/v1")

    assert found.headers["location"] == "/people/v1"
    assert "allowed e-mail for marketing" in shown
    assert [one["data"].get("email") for one in held["said"]["v1"]] == ["ada@shop.test", None]
    assert list(held["carts"]) == ["c1"]
    assert [one["type"] for one in held["carts"]["c1"]] == ["cart.updated.v1"]
    assert "0 names" in proof
    assert "ada@shop.test" not in after.text


async def _found(admin):
    answer = await admin.send("/people", page="/people", asked="ada@shop.test")
    return answer if answer.status_code == 303 else None


async def _details(admin, wanted):
    text = (await admin.send("/people/v1/details", page="/people/v1")).text
    return text if wanted in text else None


async def _contains(admin, address, wanted):
    text = (await admin.get(address)).text
    return text if wanted in text else None
