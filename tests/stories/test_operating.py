"""Looking after a mesh that runs: status, dead letters, rebuilding, health, restart, drain."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio

from mesh.broker.protocol import Outgoing
from mesh.profiles import PROFILES
from mesh.runtime.supervised_process import Child
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh_up(tmp_path_factory):
    """One region on one node with every service, as `cartmesh up` starts it."""
    directory = tmp_path_factory.mktemp("mesh")
    topology = Topology.of(["us"], nodes=1)
    async with Up(topology, directory=directory, environment={"CARTMESH_ABANDON_AFTER": "1h"}) as up:
        yield up


async def until(true, what: str):
    """Wait for a condition."""
    for _ in range(int(WITHIN / 0.1)):
        if found := await true():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"waited {WITHIN:g} s for {what}")


async def cartmesh(*arguments: str) -> tuple[int, str]:
    """Run a command as an operator would; its exit status and everything it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mesh.cli",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "200"},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, output.decode()


async def leave_cart(up: Up, cart_id: str) -> None:
    """Tell the gateway about a filled cart."""
    event = {
        "id": f"e-{cart_id}",
        "type": "cart_updated",
        "time": datetime.now(UTC).isoformat(),
        "visitor_id": "v1",
        "cart_id": cart_id,
        "lines": [{"product_id": "p1", "quantity": 1, "price": {"amount": 1999, "currency": "EUR"}}],
    }
    headers = {"Authorization": "Bearer demo"}
    async with httpx.AsyncClient(base_url=up.gateway("us"), headers=headers, timeout=60) as client:
        answer = await client.post("/v1/events", json={"events": [event]})
    assert answer.status_code == 202, answer.text


async def carts_in_profiles(up: Up) -> set[str]:
    """Carts in the profile store."""
    state = (await up.operator("us")).state(PROFILES)
    return {cart async for _, record in state.items() for cart in record.carts}


async def test_a_message_nobody_can_read_is_a_dead_letter_shown_and_redriven(mesh_up):
    """Garbage ends in the dead letters with its reason; redriving says why it still fails; nothing is lost."""
    operator = await mesh_up.operator("us")
    garbage = Outgoing(subject="ev.us.cart.idle.broken", body=b'{"not": "a CloudEvent"}', id="garbage-1")
    await operator.broker.store("COMMERCE_us", garbage)
    servers = str(mesh_up.servers_file)

    async def listed() -> str:
        _, printed = await cartmesh("dead", "list", "--servers", servers)
        return printed if "carts-abandon-cart" in printed else ""

    printed = await until(listed, "the dead letter")
    assert "not a CloudEvent" in printed
    status, shown = await cartmesh("dead", "show", "1", "--region", "us", "--servers", servers)
    assert (status, "ev.us.cart.idle.broken" in shown, "not" in shown) == (0, True, True)
    status, said = await cartmesh("dead", "redrive", "--region", "us", "--dry-run", "--servers", servers)
    assert (status, "would be handled by carts-abandon-cart" in said) == (0, True)
    status, said = await cartmesh("dead", "redrive", "--region", "us", "--servers", servers)
    assert (status, "not a CloudEvent" in said) == (1, True)
    assert "carts-abandon-cart" in await listed()


async def test_status_shows_what_the_servers_say(mesh_up):
    """Short, then with every service, process, stream and consumer, and all of it as JSON."""
    servers = str(mesh_up.servers_file)

    async def nothing_wrong() -> tuple[int, str] | None:
        """What is wrong is named with its stream, such as a durable that a service is just about to make."""
        short = await cartmesh("status", "--servers", servers)
        return None if "COMMERCE_us" in short[1] else short

    short = await until(nothing_wrong, "a status without anything wrong")
    status, table = await cartmesh("status", "--all", "--servers", servers)
    _, text = await cartmesh("status", "--json", "--servers", servers)

    (region,) = json.loads(text)
    assert (status, region["region"], region["nodes_up"]) == (0, "us", 1)
    assert [
        words for words in ("COMMERCE_us", "carts-abandon-cart", "us-worker", "loyalty") if words not in table
    ] == []
    assert (short[0], "--all" in short[1]) == (0, True)
    assert "carts-abandon-cart" in {consumer["name"] for consumer in region["consumers"]}
    assert {service["name"]: service["state"] for service in region["services"]}["loyalty"] == "running"


async def test_a_projection_is_rebuilt_from_the_log_while_its_service_runs(mesh_up):
    """After `rebuild` a bucket holds what it held before, and goes on being kept."""
    for name in ("c1", "c2", "c3"):
        await leave_cart(mesh_up, name)

    async def all_shown() -> bool:
        return {"c1", "c2", "c3"} <= await carts_in_profiles(mesh_up)

    await until(all_shown, "the profiles")
    keys = len([key async for key, _ in (await mesh_up.operator("us")).state(PROFILES).items()])
    topology = mesh_up.directory / "mesh.toml"
    topology.write_text("[regions.us]\nnodes = 1\n")
    status, said = await cartmesh(
        "rebuild", "profiles", "--region", "us", "--servers", str(mesh_up.servers_file), "--topology", str(topology)
    )
    assert (status, f"{keys} keys" in said) == (0, True), said
    assert {"c1", "c2", "c3"} <= await carts_in_profiles(mesh_up)
    await leave_cart(mesh_up, "c4")

    async def goes_on() -> bool:
        return {"c1", "c2", "c3", "c4"} <= await carts_in_profiles(mesh_up)

    await until(goes_on, "the profiles to go on")


async def test_what_is_no_projection_is_not_emptied(mesh_up):
    """Configuration cannot be rebuilt from the log: the command says which buckets can."""
    status, said = await cartmesh("rebuild", "models-current", "--region", "us", "--servers", str(mesh_up.servers_file))

    assert (status, "profiles" in said, "no projection" in said) == (1, True, True)


async def test_what_asks_to_be_alone_has_a_process_of_its_own(mesh_up):
    """The gateway, scoring, training and live pages run apart; interfaces share a process, and the others a worker."""
    processes = {name for _, name in mesh_up.children}

    assert processes == {
        "apis",
        "board",
        "connect",
        "console",
        "functions",
        "gateway",
        "lake",
        "scoring",
        "studio",
        "training",
        "webhooks",
        "worker",
    }
    assert {mesh_up.child("us", name).name for name in ("links", "orders", "stock")} == {"us-apis"}
    assert {mesh_up.child("us", name).name for name in ("carts", "fraud-review", "offers")} == {"us-worker"}


async def test_a_worker_serves_health_and_metrics(mesh_up):
    """A process is ready when JetStream answers it, and its metrics are for Prometheus."""
    port = mesh_up.ports("us", "worker")["health"]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        ready, metrics = await client.get("/readyz"), await client.get("/metrics")

    assert ready.status_code == 200
    assert "cartmesh_handled_messages_total" in metrics.text


async def test_a_killed_service_comes_back_and_goes_on(mesh_up):
    """What was published while a service was dead is handled when it is back."""
    child = mesh_up.child("us", "carts")
    await child.kill()
    await leave_cart(mesh_up, "c9")

    await asyncio.wait_for(child.ready.wait(), WITHIN)

    async def shown() -> bool:
        return "c9" in await carts_in_profiles(mesh_up)

    await until(shown, "the cart of the time it was dead")
    assert child.restarts == 1


async def test_a_child_that_cannot_start_says_why(tmp_path):
    """The error holds the end of the child's own words."""
    child = Child("broken", [sys.executable, "-c", "raise SystemExit('no such region: xx')"], {}, tmp_path)

    with pytest.raises(Exception, match="no such region: xx"):
        await child.start()
    await child.stop()
