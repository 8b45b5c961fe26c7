"""How processes and what runs in them end and come back: together, by themselves, and not when it was meant."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest

from mesh.runtime.closed_together import ClosedTogether
from mesh.runtime.process import Process
from mesh.runtime.server_restart import restart_dead_server
from mesh.runtime.supervised_process import Child, stop_all

ENDS_AFTER_THE_OTHER = """
trap 'touch "$0.asked"; while [ ! -e "$1.asked" ]; do sleep 0.05; done; exit 0' TERM
echo ready
while :; do sleep 0.05; done
"""


@pytest.mark.timeout(120)
async def test_children_are_all_asked_at_once(tmp_path):
    """Each of these ends only when the other was asked too: one after the other, the first would have to be killed."""
    names = [str(tmp_path / name) for name in ("one", "other")]
    pairs = [names, names[::-1]]
    children = [
        Child(f"child-{at}", ["bash", "-c", ENDS_AFTER_THE_OTHER, *pair], {}, tmp_path) for at, pair in enumerate(pairs)
    ]
    for child in children:
        await child.start()

    await stop_all(children)

    assert [await child.process.wait() for child in children] == [0, 0]


async def test_what_is_closed_together_waits_for_nobody(tmp_path):
    """Each context is left by the task that entered it, after all were asked to end."""
    asked, seen = asyncio.Barrier(2), []

    @asynccontextmanager
    async def opened(name):
        entered = asyncio.current_task()
        yield name
        await asked.wait()
        seen.append((name, asyncio.current_task() is entered))

    async with asyncio.timeout(60), ClosedTogether() as together:
        names = [await together.open(opened(name)) for name in ("a", "b")]

    assert (names, sorted(seen)) == (["a", "b"], [("a", True), ("b", True)])


async def test_what_cannot_be_opened_is_reported_and_the_others_are_closed():
    """As where a service's start fails."""
    closed = []

    @asynccontextmanager
    async def opened(name):
        if name == "bad":
            raise ValueError(name)
        yield
        closed.append(name)

    async def start():
        async with ClosedTogether() as together:
            await together.open(opened("good"))
            await together.open(opened("bad"))

    with pytest.raises(ValueError, match="bad"):
        await start()

    assert closed == ["good"]


@pytest.mark.timeout(120)
async def test_a_dead_server_is_started_again_and_one_that_was_stopped_is_not(tmp_path):
    """Both are reported; whoever takes it out of those that run wants it stopped."""
    running, reports, launched, back = {}, [], [], asyncio.Event()

    async def launch(name):
        launched.append(name)
        running[name] = await Process.start(["sleep", "1000"], log=tmp_path / "log")

    def report(line):
        reports.append(line)
        if line.endswith("runs again"):
            back.set()

    await launch("us-1")
    watching = asyncio.create_task(restart_dead_server("us-1", running, launch, report))
    first = running["us-1"].pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(60):
        await back.wait()
    second = running.pop("us-1")
    await second.kill()
    await asyncio.sleep(0)  # the watcher has seen that it ended
    watching.cancel()

    assert reports == ["server us-1 ended unexpectedly (exit code -9); starting it again", "server us-1 runs again"]
    assert second.pid != first
    assert launched == ["us-1", "us-1"]
