"""What is generated is fresh, and what is declared can be deployed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def cartmesh(*words):
    """In a process of its own: other tests declare events and services for themselves."""
    return subprocess.run(
        [sys.executable, "-m", "mesh.cli", *words], capture_output=True, text=True, check=False, timeout=100, cwd=ROOT
    )


def test_generated_files_are_fresh():
    """`deploy/generated` is what `make render` writes now."""
    ran = cartmesh("mesh", "render", "--check")

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_is_declared_can_be_deployed():
    """`cartmesh mesh check` finds no error: one writer for each event, no overlap, no changed contract."""
    ran = cartmesh("mesh", "check")

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_command_is_there():
    """No package failed to bring its commands."""
    ran = cartmesh("--help")

    assert ran.returncode == 0
    assert ran.stderr == ""


def test_the_mesh_can_be_shown():
    """`cartmesh mesh show` prints regions, links, streams, services and events."""
    ran = cartmesh("mesh", "show")

    assert ran.returncode == 0, ran.stderr
    assert [title for title in ("Regions", "Links", "Streams", "Services", "Events") if title not in ran.stdout] == []
