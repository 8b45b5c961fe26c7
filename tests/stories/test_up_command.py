"""`cartmesh up` as a person uses it: start, look, stop; nothing stays behind."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from mesh.runtime.ports import free_ports
from mesh.runtime.process import Process
from mesh.topology.access import Access

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


@pytest.mark.timeout(240)
async def test_ctrl_c_drains_and_leaves_nothing_running(tmp_path):
    """It prints where everything is, keeps its folder, ends with 0 on ctrl-c, and so do all it started."""
    async with up("--regions", "us", "--nodes", "1", "--dir", str(tmp_path)) as (process, printed):
        children = below(process)

        process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), 60)

    assert {"gateway us", "inbox", "servers.json"} == {
        w for w in ("gateway us", "inbox", "servers.json") if w in printed
    }
    assert (process.returncode, "stopped" in rest.decode()) == (0, True)
    assert len(children) >= 4
    assert await gone(children)
    assert "us" in Access.read(tmp_path / "servers.json").regions


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
