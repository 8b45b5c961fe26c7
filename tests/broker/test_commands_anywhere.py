"""Operators' commands on servers that only the environment names, as in the chart's toolbox: without servers.json."""

import asyncio
import json

import pytest
import pytest_asyncio

from mesh.broker import server_version
from mesh.broker.jetstream import JetStreamBroker
from mesh.cli import app
from mesh.events.cart import CartUpdated
from mesh.mesh import Mesh
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.topology.mesh_toml import Topology

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESH = '[regions.us]\nnodes = 1\n[regions.eu]\nnodes = 1\n[[links]]\nfrom = "eu"\nto = "us"\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    async with LocalServers(Topology.of(["us"], nodes=1), services=discover()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def run_command(servers, monkeypatch, tmp_path, capsys):
    """Run a command as an operator would, in a folder with nothing but mesh.toml; what it printed."""
    login = servers.credentials("us")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mesh.toml").write_text(MESH)
    monkeypatch.setenv("CARTMESH_NATS_URL_US", ",".join(login.servers))
    monkeypatch.setenv("CARTMESH_NATS_PASSWORD_US", login.password)

    async def run(*words):
        await asyncio.to_thread(app(words[0]), list(words), result_action="return_value")
        said = capsys.readouterr()
        return said.out + said.err

    mesh = Mesh(JetStreamBroker(await servers.operator("us")), "carts")
    await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
    return run


async def test_status_shows_the_whole_mesh_as_far_as_it_is_reached(run_command, monkeypatch):
    """The region's own servers with their version; the other region, of which mesh.toml tells, is awaited."""
    (us,) = json.loads(await run_command("status", "--json"))

    assert (us["nodes"], us["versions"], us["error"]) == (1, {"us-1": server_version.TESTED}, None)
    assert us["staleness"] == {"eu": None}

    monkeypatch.setattr(server_version, "TESTED", "9.9.9")
    assert f"us-1: nats-server {us['versions']['us-1']} is not the tested 9.9.9" in await run_command("status")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dead list", "us: no dead letters"),
        ("events list --since 1m", "cart.updated"),
        ("trace c1", "cart.updated"),
        ("models list", "no versions"),
        ("stock audit", "Every unit is accounted for"),
    ],
)
async def test_commands_work_without_servers_json(run_command, words, said):
    """As the operator, in every region that the environment names."""
    assert said in await run_command(*words.split())


async def test_what_is_asked_for_and_not_there_is_said(run_command):
    """A region without servers here, with the variable to set."""
    with pytest.raises(Exception, match=r"there is no region 'eu' here; there are us\. Set CARTMESH_NATS_URL_EU"):
        await run_command("dead", "show", "1", "--region", "eu")
    with pytest.raises(Exception, match="nothing is called 'nobody'"):
        await run_command("trace", "nobody")
    with pytest.raises(Exception, match="'nothing' is no projection; there are"):
        await run_command("rebuild", "nothing", "--region", "us")
