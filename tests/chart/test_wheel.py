"""The wheel as the image has it: in a clean environment, every service started as the chart starts it."""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from mesh.errors import Unavailable
from mesh.operations.probe import probe
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.ports import free_ports
from mesh.runtime.process import Process
from mesh.topology.certificates import certificates
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.mail_keys import make_key

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "write-keys": "shop,probe",
    "test-key": "probe",
    "smtp-user": "",
    "smtp-password": "",
    "dkim-key": make_key("rsa")[0],
}

FIRST = ("scoring", "console")
"""Started before the others: between them they import nearly everything, and compile it once for all."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory, uv):
    """The command `cartmesh` of a virtual environment with the wheel and what uv.lock says, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", str(folder), "--quiet")
    locked = folder / "locked.txt"
    locked.write_text(uv("export", "--locked", "--no-dev", "--no-emit-project", "--quiet"))
    uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    uv("pip", "install", "--quiet", "--python", str(python), "-r", str(locked), str(wheel))
    return folder / "venv" / "bin" / "cartmesh"


def environment(container, servers, shown, ports):
    """What Kubernetes would set, with the servers of this machine."""
    made = {}
    urls = ",".join(servers.access.regions["us"].urls.values())
    for entry in container.get("env", ()):
        name, reference = entry["name"], entry.get("valueFrom", {}).get("secretKeyRef")
        if reference is None:
            made[name] = entry["value"]
        elif reference["key"].startswith("settings."):
            made[name] = "nobody-knows-what-this-is"
        elif reference["name"] == "cartmesh-passwords":
            made[name] = servers.access.regions["us"].passwords[reference["key"]]
        else:
            made[name] = SETTINGS[reference["key"]]
        made[name] = str(ports.get(made[name], made[name]))
    return made | {
        "CARTMESH_HOST": "127.0.0.1",
        "CARTMESH_NATS_URL": urls,
        "CARTMESH_NATS_URL_US": urls,
        "CARTMESH_NATS_CA": shown.ca,
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.drill
@pytest.mark.timeout(200)
async def test_every_service_starts_from_the_wheel(installed, chart, tmp_path, monkeypatch):
    """With the arguments and variables of its Deployment, over TLS; then a view is scored, and all end when asked."""
    (tmp_path / "mesh.toml").write_text("[regions.us]\nnodes = 1\n")
    topology = Topology.load(tmp_path / "mesh.toml")
    shown = certificates(topology, tmp_path / "certs", lasting=timedelta(days=1))["us"]
    monkeypatch.setenv("CARTMESH_NATS_CA", shown.ca)
    deployments = {name: found for (kind, name), found in chart("us").items() if kind == "Deployment"}
    free = iter(free_ports(2 * len(deployments)))
    ports = {name: {"8080": next(free), "8081": next(free)} for name in deployments}

    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(topology, services=discover(), certificates=shown))
        hook = chart("us")["Job", "apply"]["spec"]["template"]["spec"]
        for container in (*hook["initContainers"], *hook["containers"]):
            words = [word.replace("/etc/cartmesh/mesh", str(tmp_path)) for word in container["args"]]
            variables = environment(container, servers, shown, {})
            ran = await Process.start([str(installed), *words], log=tmp_path / "hook.log", environment=variables)
            assert await asyncio.wait_for(ran.wait(), 60) == 0, ran.last_output()

        begun, processes = time.monotonic(), {}
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
        for name in (*FIRST, *sorted(set(deployments) - set(FIRST))):
            (container,) = deployments[name]["spec"]["template"]["spec"]["containers"]
            words = [word.replace("/etc/cartmesh/mesh", str(tmp_path)) for word in container["args"]]
            variables = environment(container, servers, shown, ports[name])
            log = tmp_path / f"{name}.log"
            processes[name] = await Process.start([str(installed), *words], log=log, environment=variables)
            stack.push_async_callback(processes[name].kill)
            if name in FIRST:
                await until_ready(client, ports[name]["8081"], processes[name])
        for name, of in ports.items():
            await until_ready(client, of["8081"], processes[name])
        print(f"{len(ports)} services ready after {time.monotonic() - begun:.1f} s")

        mesh = await connect(servers.access, "us", "gateway")
        stack.push_async_callback(mesh.broker.drain)
        await probe(
            mesh,
            f"http://127.0.0.1:{ports['gateway']['8080']}/v1/events",
            body=chart("us")["Pod", "test"]["spec"]["containers"][0]["args"][-1],
            key="probe",
            awaits="user.scored.v1",
            within=timedelta(seconds=30),
        )

        await asyncio.gather(*(process.end(40) for process in processes.values()))
        assert {name: await process.wait() for name, process in processes.items()} == dict.fromkeys(processes, 0)


async def until_ready(client, port, process):
    deadline = time.monotonic() + 100
    while True:
        try:
            if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                return
        except httpx.HTTPError:
            pass
        if process.ended or time.monotonic() > deadline:
            raise Unavailable(process.last_output())
        await asyncio.sleep(0.2)
