"""`cartmesh up` as a person uses it: start, look, stop; nothing stays behind."""

import asyncio
import json
import re
import shlex
import signal
import stat
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from mesh.runtime.ports import free_ports
from mesh.runtime.process import Process
from mesh.runtime.up import SERVER_KEYS, Up
from mesh.topology.access import Access
from mesh.topology.mesh_toml import Topology

STARTED = "ctrl-c stops everything"
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def up(*arguments: str):
    """The command until the block ends; yields the process and all it printed while it started."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh.cli", "up", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        printed = ""
        async with asyncio.timeout(100):
            while STARTED not in printed:
                line = await process.stdout.readline()
                assert line, f"it ended while it started:\n{printed}"
                printed += line.decode()
        yield process, printed
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def gone(pids: set[int]) -> bool:
    """Wait until none of these processes runs."""
    for _ in range(300):
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
            return True
        await asyncio.sleep(0.1)
    return False


def below(process) -> set[int]:
    """Every process that a process has started."""
    return {child.pid for child in psutil.Process(process.pid).children(recursive=True)}


async def line_with(process, words: str) -> str:
    """The next line that holds these words."""
    async with asyncio.timeout(100):
        while line := await process.stdout.readline():
            if words in line.decode():
                return line.decode()
    raise AssertionError(f"it ended without saying {words!r}")


async def ran(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and output of a command that is run elsewhere."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode, out.decode()


async def status(printed: str, folder: Path) -> dict:
    """What the printed command for the status prints, in a folder that is not this one; asked until it answers."""
    command = shlex.split(re.search(r"^status: (.*)$", printed, re.MULTILINE)[1])
    async with asyncio.timeout(100):
        while True:
            code, out = await ran([*command, "--json"], folder)
            if code == 0:
                (region,) = json.loads(out)
                return region
            await asyncio.sleep(0.5)


@pytest.mark.timeout(300)
async def test_what_it_prints_works_as_printed_until_ctrl_c_ends_all_of_it(tmp_path):
    """Addresses, status, the way into the console; a server that dies comes back; ctrl-c leaves nothing running."""
    mesh = tmp_path / "mesh"
    async with up("--regions", "us", "--nodes", "1", "--dir", str(mesh)) as (process, printed):
        children = below(process)
        gateway = re.search(r"gateway us .*(http://127\.0\.0\.1:(\d+))", printed)
        async with httpx.AsyncClient(timeout=60) as browser:
            docs = await browser.get(f"{gateway[1]}/docs")
            # The console lets nobody in without a link, and a second one is made by the command line.
            console = re.search(r"console us .*(http://127\.0\.0\.1:\d+)", printed)[1]
            invite = ["console", "invite", "--region", "us", "--url", console, "--servers", "servers.json"]
            made = [
                await ran([sys.executable, "-m", "mesh.cli", *invite, *more], mesh)
                for more in (("--role", "viewer"), ("--email", "nobody@shop.example"), ("--role", "king"))
            ]
            joined = await browser.get(made[0][1].strip())
            listed = await browser.get(f"{console}/documents/v1/journeys")  # a service of the worker answers
        before = await status(printed, tmp_path)
        [server] = [child for child in psutil.Process(process.pid).children() if child.name() == "nats-server"]
        server.kill()
        died, again = [await line_with(process, words) for words in ("us-1 ended", "us-1 runs again")]
        after = await status(printed, tmp_path)

        process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), 60)

    steps = (
        "starting 1 NATS server",
        "starting the inbox",
        "starting the services of us: board, ",
        "status: ",
        "inbox ",
    )
    assert [step for step in steps if step not in printed] == []
    assert gateway[2] == "8080" or "port 8080 is taken: gateway us is at " + gateway[2] in printed
    assert docs.status_code == 200
    assert [code for code, _ in made] == [0, 1, 1]
    assert joined.status_code == 200
    assert (listed.status_code, listed.headers["content-type"]) == (401, "application/problem+json")
    assert "nobody@shop.example has no account in us" in made[1][1]
    assert "there is no role 'king'; there are " in made[2][1]
    assert before["region"] == after["region"] == "us"
    assert ("ended unexpectedly" in died, "runs again" in again) == (True, True)
    assert (process.returncode, "stopped" in rest.decode()) == (0, True)
    assert len(children) >= 4
    assert await gone(children)
    assert "us" in Access.read(mesh / "servers.json").regions


@pytest.mark.timeout(240)
async def test_it_uses_servers_that_run_already_and_dies_whole(tmp_path):
    """With --url it starts services only; killed without warning, it takes them with it."""
    (port,) = free_ports(1)
    server = await Process.start(
        [
            str(Path(sys.executable).parent / "nats-server"),
            "-a",
            "127.0.0.1",
            "-p",
            str(port),
            "-js",
            "-sd",
            str(tmp_path),
        ],
        log=tmp_path / "server.log",
    )
    try:
        async with up("--url", f"us=nats://127.0.0.1:{port}", "--nodes", "1") as (process, printed):
            children = below(process)
            process.kill()
            await process.wait()

        assert "gateway us" in printed
        assert children
        assert await gone(children)
        assert not server.ended
    finally:
        await server.end()


async def test_what_was_signed_before_a_restart_is_good_after_it(tmp_path, monkeypatch):
    """The server key is kept beside the data, for its owner alone: the second start takes what the first one took."""
    monkeypatch.delenv("CARTMESH_SERVER_KEYS", raising=False)
    keys, answers = [], []
    for start in ("first", "second"):
        async with Up(Topology.of(["us"], nodes=1), directory=tmp_path, only=["gateway"]) as mesh:
            keys.append(mesh.environment["CARTMESH_SERVER_KEYS"])
            event = {"id": start, "type": "product_listed", "time": datetime.now(UTC).isoformat(), "product_id": "p1"}
            async with httpx.AsyncClient(base_url=mesh.gateway("us")) as client:
                headers = {"authorization": f"Bearer {keys[0]}"}
                answers.append((await client.post("/v1/events", json={"events": [event]}, headers=headers)).status_code)

    assert (keys[0] == keys[1], len(keys[0]) >= 32, answers) == (True, True, [202, 202])
    assert stat.S_IMODE((tmp_path / SERVER_KEYS).stat().st_mode) == 0o600
