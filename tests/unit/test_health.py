"""Health and metrics of a process, over real HTTP."""

import subprocess
import sys

import httpx
import pytest

from mesh import Mesh
from mesh.cli import app
from mesh.runtime.serving import serving
from mesh.web.health import health_app


@pytest.fixture
async def health(regions):
    """The answers of a process with two services, by path."""
    first, second = Mesh(regions.broker("us"), "first"), Mesh(regions.broker("us"), "second")
    async with (
        serving(health_app(first, second), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client, second


async def test_a_process_that_is_well_says_so(health):
    """Alive, ready, with its figures; and what else there is, where something else is asked for."""
    client, _ = health

    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
    figures = await client.get("/metrics")
    assert "cartmesh_service_running" in figures.text
    assert figures.headers["content-type"].startswith("text/plain; version=")
    assert (await client.head("/readyz")).text == ""
    assert ((await client.get("/")).status_code, (await client.get("/")).text) == (
        404,
        "there are /healthz, /readyz and /metrics\n",
    )


async def test_a_readiness_check_of_any_service_counts(health):
    """One that is not ready keeps the process from being asked."""
    client, second = health
    second.readiness_checks.append(lambda: "second still reads")

    answer = await client.get("/readyz")

    assert (answer.status_code, answer.text) == (503, "second still reads\n")
    assert (await client.get("/healthz")).status_code == 200


async def test_servers_that_do_not_answer_are_reported(health, regions):
    """The process lives on: a restart would not bring them back."""
    client, _ = health
    regions.stop("us")

    answer = await client.get("/readyz")

    assert (answer.status_code, "JetStream of us does not answer" in answer.text) == (503, True)
    assert (await client.get("/healthz")).status_code == 200


def test_a_process_without_pages_brings_no_framework():
    """What its start does not need is not imported: for the endpoint, the command line, or what services declare."""
    heavy = "{'litestar', 'jinja2', 'polars', 'sklearn'}"
    imports = "import sys, mesh.runtime.worker; from mesh.cli import app; from mesh.runtime.discovery import discover"
    code = f"{imports}; app('run'); discover(); print({heavy} & set(sys.modules))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout.strip() == "set()"


def test_every_command_is_there_for_whoever_asks_what_there_is():
    """Only of a command that is named the others are left out."""
    assert {"run", "mesh", "inbox"} <= {*app()} == {*app("--help")} == {*app("nonsense")}
    assert "inbox" not in {*app("run")}
    assert "status" in {*app("status")}
