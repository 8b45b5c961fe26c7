"""What `make` says to a newcomer."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_first_set_up_says_that_it_takes_long(tmp_path):
    """Before anything is fetched: a gigabyte in silence looks like a command that hangs."""
    command = ["make", "--dry-run", "--no-print-directory", "setup", f"VENV={tmp_path}/venv"]

    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)

    assert ran.stdout.splitlines()[0].startswith('echo "setting up ')
    assert "minutes" in ran.stdout.splitlines()[0]
