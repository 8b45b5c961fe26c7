"""What an embedded mesh runs is listed, so that the next start ends what is left, and nothing else."""

import asyncio
import os
import sys

import msgspec
import pytest

from mesh.runtime.backoff import FIRST_S, MOST_S, STABLE_S, Backoff
from mesh.runtime.process_list import FILE, ListedProcess, ProcessList, end_left_over, listed_in


def test_the_pause_doubles_until_a_process_has_run_for_a_while():
    """What dies at its start is not started ten times a second; what ran is back at once."""
    now = [0.0]
    backoff = Backoff(lambda: now[0])

    pauses = [backoff.pause() for _ in range(8)]
    backoff.began()
    now[0] += STABLE_S
    after = backoff.pause()

    assert pauses[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert pauses[-1] == MOST_S
    assert after == FIRST_S


def test_a_restart_is_counted_when_a_process_starts_that_had_ended(tmp_path):
    """Not its first start, nor each attempt of a start; what was stopped on purpose has no id any more."""
    kept = ProcessList(tmp_path)
    kept.add(ListedProcess(name="us-1", kind="server"))

    for state in ("starting", "running", "restarting", "starting", "running"):
        kept.note("us-1", state, os.getpid() if state == "starting" else None)
    (running,) = listed_in(tmp_path)
    kept.stopped()
    (stopped,) = listed_in(tmp_path)

    assert (running.state, running.restarts, running.pid) == ("running", 1, os.getpid())
    assert (stopped.state, stopped.restarts, stopped.pid) == ("stopped", 1, None)


def test_a_folder_where_nothing_ran_has_no_list(tmp_path):
    """As one that was just made."""
    assert listed_in(tmp_path) == []
    assert end_left_over(tmp_path) == []


@pytest.mark.timeout(120)
async def test_what_is_left_over_is_ended_and_nothing_that_has_its_id_by_now(tmp_path):
    """A process is the one that was listed only if it began when that one did."""
    left, stranger = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(1000)") for _ in range(2)
    ]
    try:
        kept = ProcessList(tmp_path)
        for name, process in (("us-worker", left), ("us-1", stranger)):
            kept.add(ListedProcess(name=name, kind="service", state="running", pid=process.pid))
        written = msgspec.json.decode((tmp_path / FILE).read_bytes())
        written[1]["began"] -= 3600
        (tmp_path / FILE).write_bytes(msgspec.json.encode(written))

        seen = {one.name: one.state for one in listed_in(tmp_path)}
        ended = await asyncio.to_thread(end_left_over, tmp_path)

        assert seen == {"us-worker": "running", "us-1": "gone"}
        assert ended == ["us-worker"]
        assert await left.wait() != 0
        assert stranger.returncode is None
    finally:
        for process in (left, stranger):
            if process.returncode is None:
                process.kill()
            await process.wait()
