"""Lock: one mesh in a folder at a time."""

import fcntl
import os
from pathlib import Path
from typing import IO

from mesh.errors import TopologyError


def alone_in(directory: Path, name: str = "lock") -> IO[str]:
    """A lock on the folder, freed by closing it or with the process; TopologyError when another mesh runs there."""
    held = (directory / name).open("a+", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise TopologyError(f"another mesh runs in {directory}: give another --dir, or stop that one") from None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held
