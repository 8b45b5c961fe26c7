"""`cartmesh mesh ...` from outside: what it prints and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from mesh.errors import TopologyError
from mesh.topology.access import Access, Servers
from mesh.topology.secrets import SYSTEM

ROOT = Path(__file__).parents[2]


def cartmesh(*words):
    return subprocess.run(
        [sys.executable, "-m", "mesh.cli", *words], capture_output=True, text=True, check=False, timeout=100, cwd=ROOT
    )


def render(folder, *options):
    """`cartmesh mesh render` for one region of one server."""
    topology = folder.parent / "mesh.toml"
    topology.write_text("[regions.us]\nnodes = 1\n")
    return cartmesh("mesh", "render", *options, "--file", str(topology), "--folder", str(folder))


def test_a_wrong_topology_ends_with_one_clear_line(tmp_path):
    """No traceback: the file, the mistake, what to write instead; status 1."""
    path = tmp_path / "mesh.toml"
    path.write_text("[regions.us]\nnodes = 2\n")

    ran = cartmesh("mesh", "check", "--file", str(path))

    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(f"cartmesh: {path}: region 'us' has nodes = 2: write 1, 3, 5, 7 or 9")


def test_rendering_makes_a_folder_fresh(tmp_path):
    """Stale before, fresh after."""
    folder = tmp_path / "generated"

    assert render(folder, "--check").returncode == 1
    assert render(folder).returncode == 0
    assert render(folder, "--check").returncode == 0


def test_rendering_does_not_hide_a_changed_contract(tmp_path):
    """A wire type that differs from what was committed is refused, unless it was never released."""
    folder = tmp_path / "generated"
    render(folder)
    schemas = folder / "schemas.json"
    schemas.write_text(schemas.read_text().replace('"order_id": {\n', '"number": {\n'))

    refused = render(folder)
    assert refused.returncode == 1
    assert "field number was removed" in refused.stderr
    assert "declare version=2" in refused.stderr

    assert render(folder, "--unreleased").returncode == 0
    assert render(folder, "--check").returncode == 0


def test_the_environment_says_where_the_operator_connects(monkeypatch, tmp_path):
    """A URL and a password for each region; the missing variable is named."""
    monkeypatch.setenv("CARTMESH_NATS_URL_US", "nats://a:4222, nats://b:4222")
    monkeypatch.setenv("CARTMESH_NATS_PASSWORD_US", "secret")

    monkeypatch.chdir(tmp_path)
    access = Access.find()
    login = access.login("us")

    assert (login.servers, login.user, login.password) == (("nats://a:4222", "nats://b:4222"), "operator", "secret")
    with pytest.raises(TopologyError, match=r"there are us\. Set CARTMESH_NATS_URL_EU"):
        access.login("eu")
    assert not access.has("us", SYSTEM)

    (tmp_path / "mesh.toml").write_text(
        '[regions.us]\n[regions.eu]\n[[links]]\nfrom = "eu"\nto = "us"\n[streams.orders]\ndomains = ["order"]\n'
    )
    monkeypatch.setenv("CARTMESH_NATS_SYS_PASSWORD_US", "more")
    access = Access.find()

    assert access.names == ("us", "eu"), "the whole mesh, of which one region can be reached"
    assert [family.name for family in access.layout.own] == ["ORDERS"]
    assert access.login("us", SYSTEM).password == "more"

    monkeypatch.setenv("CARTMESH_NATS_LOGIN", "next")
    assert Access.find().login("us").user == "operator.next"
    assert Access.find().login("us").inbox_prefix == "_INBOX_us_operator"
    monkeypatch.setenv("CARTMESH_NATS_LOGIN", "second")
    with pytest.raises(TopologyError, match="CARTMESH_NATS_LOGIN='second': write next"):
        Access.find()


def test_a_mesh_that_is_nowhere_is_asked_for(monkeypatch, tmp_path):
    """Without servers.json and without variables a command says what to set; what is given comes first."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TopologyError, match=r"where are the servers\? Set CARTMESH_NATS_URL_<REGION>"):
        Access.find()

    here = Access(regions={"us": Servers(urls={"us-1": "nats://a:1"}, passwords={"operator": "x"})})
    here.write(tmp_path / "servers.json")
    assert Access.find() == here

    monkeypatch.setenv("CARTMESH_NATS_URL_EU", "nats://b:1")
    assert list(Access.find().regions) == ["eu"]
    assert Access.find("servers.json") == here


def test_servers_that_are_not_there_are_said_to_be_down(tmp_path):
    """`apply` without a mesh asks whether it is up."""
    ran = cartmesh("mesh", "apply", "--servers", str(tmp_path / "servers.json"))

    assert ran.returncode == 1
    assert "Is the mesh up?" in ran.stderr
