"""Log files of an embedded mesh: bounded, read by `cartmesh logs`.

Processes keep their file open and append. So a file that has grown too large is copied beside itself and emptied, as
logrotate's `copytruncate` does: what is written between the last look and the emptying is lost, which is microseconds.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

SERVER_LOG = "server.log"
MOST_BYTES = 10_000_000
"""A file that is larger is rotated."""
KEPT = 2
"""Older parts that are kept of each file: `.1` is the newest of them."""
_LOOKED_EVERY_S = 5.0


def log_files(directory: Path) -> Iterator[Path]:
    """Every file that a process of this folder writes its log to."""
    yield from sorted((directory / "logs").glob("*.log"))
    yield from sorted(directory.glob(f"*/{SERVER_LOG}"))


async def keep_bounded(directory: Path) -> None:
    """Rotate what grows too large, until cancelled."""
    while True:
        for path in log_files(directory):
            if path.stat().st_size > MOST_BYTES:
                await asyncio.to_thread(rotate, path)
        await asyncio.sleep(_LOOKED_EVERY_S)


def rotate(path: Path) -> None:
    """Move a file's content to `.1`, what was there to `.2`; the oldest is dropped."""
    for at in range(KEPT, 1, -1):
        if (older := part(path, at - 1)).exists():
            older.replace(part(path, at))
    with path.open("r+b") as file, part(path, 1).open("wb") as kept:
        shutil.copyfileobj(file, kept)
        kept.write(file.read())
        file.truncate(0)


def part(path: Path, at: int) -> Path:
    """Where the part `at` (1: the newest) of a log is kept."""
    return path.with_name(f"{path.name}.{at}")


class LogReader:
    """Reads a log that is written and rotated meanwhile. Only whole lines are given, each with its newline."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, b""

    def last_lines(self, count: int) -> list[bytes]:
        """The last lines that were written, also where they are in older parts; `new_lines` goes on behind them."""
        found = self.new_lines()
        for at in range(1, KEPT + 1):
            if len(found) < count and part(self._path, at).exists():
                found = part(self._path, at).read_bytes().splitlines(keepends=True) + found
        return found[max(0, len(found) - count) :]

    def new_lines(self) -> list[bytes]:
        """What was written since the last call."""
        if not self._path.exists():
            return []
        written = b""
        if self._path.stat().st_size < self._at:  # it was rotated: the rest of the old part comes first
            with part(self._path, 1).open("rb") as old:
                old.seek(self._at)
                written, self._at = old.read(), 0
        with self._path.open("rb") as file:
            file.seek(self._at)
            written += file.read()
            self._at = file.tell()
        lines = (self._rest + written).splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        return lines
