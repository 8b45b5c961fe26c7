"""`cartmesh new`: the package it writes is built, installed, and taken along by everything that is derived."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.errors import DeclarationError
from mesh.operations.new_package import new_package

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}") or ""
UP = """
import asyncio, sys
from mesh.events.order import OrderPlaced
from mesh.money import Money
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology
from points_club.events.points_club import PointsClubOrderNoted

async def main():
    topology = Topology.load(sys.argv[1]).only("us", nodes=1)
    async with asyncio.timeout(100), Up(topology, only=["points-club"], companions=False) as up:
        operator = await up.operator("us")
        order = OrderPlaced(order_id="o1", visitor_id="v1", lines=(), total=Money(amount=900, currency="EUR"))
        await operator.publish(order)
        while (noted := await operator.last(PointsClubOrderNoted, "o1")) is None:
            await asyncio.sleep(0.1)
        print(noted.event.visitor_id)

asyncio.run(main())
"""


def ran(*command, cwd, installed=None, status=0):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if installed:
        environment["PYTHONPATH"] = str(installed)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def cartmesh(*words, cwd, installed=None):
    return ran(sys.executable, "-m", "mesh.cli", *words, cwd=cwd, installed=installed)


def uv(*words):
    """Runs uv. What is not in its cache it fetches; where nothing can be fetched, there is nothing to test."""
    for network in ("--offline", "--no-progress"):
        done = subprocess.run([UV, *words, network], capture_output=True, text=True, check=False, timeout=100)
        if done.returncode == 0:
            return
    if re.search(r"[Ff]ailed to fetch|error sending request|dns error", done.stderr):
        pytest.skip(f"no package registry is reached: {done.stderr.strip().splitlines()[0]}")
    raise AssertionError(done.stderr)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The package as `cartmesh new` writes it."""
    folder = tmp_path_factory.mktemp("written")
    cartmesh("new", "points-club", "--folder", str(folder), cwd=folder)
    return folder / "points-club"


@pytest.fixture(scope="module")
def installed(written, tmp_path_factory):
    """A folder with the built wheel installed in it, to be put on the path beside Cartmesh."""
    if not UV:
        pytest.skip("uv is not installed: `make setup` brings it")
    folder = tmp_path_factory.mktemp("installed")
    uv("build", "--wheel", "--out-dir", str(folder / "wheel"), "--quiet", str(written))
    (wheel,) = (folder / "wheel").glob("*.whl")
    uv("pip", "install", "--quiet", "--no-deps", "--target", str(folder / "site"), str(wheel))
    return folder / "site"


@pytest.fixture
def repository(tmp_path):
    """A folder with a mesh.toml, the chart, and what was rendered before the package was there."""
    shutil.copy(ROOT / "mesh.toml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path


@pytest.mark.drill
def test_its_own_test_passes(written, installed):
    """The package's test runs on the mesh in memory, as written."""
    assert "1 passed" in ran(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=written, installed=installed
    )


def test_it_is_well_formed(written):
    """As formatted as this repository, and with every type annotated."""
    ran(sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), ".", cwd=written)
    ran(sys.executable, "-m", "ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), ".", cwd=written)


def test_check_render_and_the_chart_take_it_along(repository, installed, helm):
    """The service has its consumer, permissions and place in the chart; its event a subject, a schema and a page."""
    assert ": 0 errors" in cartmesh("mesh", "check", cwd=repository, installed=installed)
    cartmesh("mesh", "render", cwd=repository, installed=installed)

    generated = repository / "deploy" / "generated"
    streams, consumers, permissions, schemas = (
        json.loads((generated / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("streams", "consumers", "permissions", "schemas")
    )
    assert "ev.us.points_club.>" in streams["us"]["COMMERCE_us"]["subjects"]
    assert "points-club-note-order" in consumers["us"]["COMMERCE_us"]
    assert "ev.us.points_club.order_noted.*" in permissions["regions"]["us"]["points-club"]["publish"]
    assert schemas["points_club.order_noted.v1"]["key"] == "order_id"
    assert "points_club.order_noted.v1" in (generated / "catalog.md").read_text(encoding="utf-8")

    made = helm("template", "-f", str(repository / "deploy/regions/eu.yaml"), chart=repository / "deploy" / "chart")
    assert made.returncode == 0, made.stderr
    assert re.search(r"^  name: cartmesh-points-club$", made.stdout, re.MULTILINE)


@pytest.mark.timeout(180)
def test_up_starts_it(installed, tmp_path):
    """On a whole mesh with real servers and processes its handler does its work."""
    assert ran(sys.executable, "-c", UP, str(ROOT / "mesh.toml"), cwd=tmp_path, installed=installed) == "v1\n"


@pytest.mark.parametrize("name", ["Points", "points_club", "1st", "", "json", "services", "a" * 41])
def test_a_name_that_cannot_be_is_refused(name, tmp_path):
    """No capitals, no package that is there already, nothing too long for a consumer's name."""
    with pytest.raises(DeclarationError):
        new_package(name, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path):
    """A folder of that name is never written to."""
    (tmp_path / "points-club").mkdir()

    with pytest.raises(DeclarationError, match="is there already"):
        new_package("points-club", tmp_path)
