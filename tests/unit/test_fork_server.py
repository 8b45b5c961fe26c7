"""Processes that are forked behave like processes that are started, and end with the fork server."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import psutil
import pytest

from mesh.runtime.fork_server import ForkServer
from mesh.runtime.supervised_process import Child

INBOX = ("inbox", "--smtp-port", "0", "--http-port", "0", "--dir")
"""A command that prints one line and stays."""


@pytest.fixture
async def fork_server(tmp_path):
    server = ForkServer(tmp_path / "fork-server.log")
    await server.open()
    yield server
    await server.close()


@pytest.fixture
def command(fork_server, tmp_path):
    """Run a command in a fork until it ends; its exit status and everything it wrote."""

    async def run(*arguments, **environment):
        log = tmp_path / "command.log"
        process = await fork_server.start(arguments, log=log, environment=os.environ | environment, speaks=False)
        return await asyncio.wait_for(process.wait(), 100), log.read_text(encoding="utf-8")

    return run


async def test_a_fork_is_the_command_with_its_own_environment_log_and_status(command, fork_server, tmp_path):
    """What it prints, its errors and its exit status are those of the command line."""
    nobody = await command("run", "nobody", "--region", "us")
    denied = await command("run", "carts", "--region", "us", CARTMESH_NATS_URL="")

    assert nobody[0] == denied[0] == 1
    assert "no service is called nobody" in nobody[1]
    assert "no servers: pass --servers servers.json or set CARTMESH_NATS_URL" in denied[1]


@pytest.mark.timeout(240)
async def test_what_is_forked_is_supervised_and_ends_with_the_server(fork_server, tmp_path, eventually):
    """A killed fork is started again; when the fork server is killed all forks end, and both come back."""
    (tmp_path / "inbox").mkdir()
    child = Child("inbox", (*INBOX, str(tmp_path / "inbox")), {}, tmp_path, fork_server.start)
    await child.start()
    try:
        first = child.process
        server = psutil.Process(first.pid).parent()
        threads = server.num_threads()
        session = os.getsid(first.pid)
        await child.kill()
        await asyncio.wait_for(child.ready.wait(), 100)
        second = child.process
        child.ready.clear()
        server.kill()
        await asyncio.wait_for(child.ready.wait(), 100)
        third = child.process

        assert "addresses" in msgspec.json.decode(child.line)
        assert threads == 1
        assert session == first.pid
        assert [await first.wait(), await second.wait()] == [-signal.SIGKILL] * 2
        await eventually(lambda: not (psutil.pid_exists(first.pid) or psutil.pid_exists(second.pid)))
        assert (third.ended, child.restarts) == (False, 2)
    finally:
        await child.stop()
    assert await third.wait() == 0


async def test_a_fork_server_that_cannot_start_says_why(tmp_path, monkeypatch):
    """The error holds the end of its output."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cyclopts.py").write_text("raise SystemExit('no command line today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    server = ForkServer(tmp_path / "fork-server.log")

    with pytest.raises(Exception, match="no command line today"):
        await server.start(("run",), log=Path(tmp_path / "log"), environment={}, speaks=True)
    await server.close()
