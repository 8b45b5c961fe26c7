"""A command whose reader has seen enough."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.cli import is_broken_pipe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [("mesh", "show"), ("--help",), ("preview",)])
def test_a_command_ends_quietly_when_nobody_reads_on(words):
    """As in `cartmesh preview | head -1`: no traceback, and a status that says so (1 where tables are printed)."""
    command = [sys.executable, "-m", "mesh.cli", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as ran:
        ran.stdout.close()

        said = ran.stderr.read()

    assert said == ""
    assert ran.wait(timeout=60) in {1, 128 + signal.SIGPIPE}


def test_tasks_that_all_met_the_broken_pipe_are_one():
    """Several may print; another error among them is not hidden."""
    both = ExceptionGroup("tasks", [BrokenPipeError(), ExceptionGroup("more", [BrokenPipeError()])])

    assert is_broken_pipe(both)
    assert not is_broken_pipe(ExceptionGroup("tasks", [BrokenPipeError(), ValueError()]))
