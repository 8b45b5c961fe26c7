"""Journal: which rows were imported, in a file beside the history, so that an import goes on where it ended.

A row is written down before it is sent and marked once it is stored. Rows that an earlier run sent and did not mark are
sent again as ones that may be stored already.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from mesh.shop_logs.style import UnreadableLog
from services.connect.history.rows import Row

SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
PRAGMA temp_store=FILE;
CREATE TABLE IF NOT EXISTS sent (digest BLOB PRIMARY KEY, run INTEGER NOT NULL, stored INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE lines (
    order_id TEXT NOT NULL, digest BLOB NOT NULL, line INTEGER NOT NULL, fields BLOB NOT NULL,
    PRIMARY KEY (order_id, digest)
) WITHOUT ROWID;
"""


class Journal:
    """The rows of one history that were imported into one shop."""

    def __init__(self, path: Path, target: str) -> None:
        """Open or begin one. Raises UnreadableLog for a file that is no journal, or one of another `target`."""
        self._connection = sqlite3.connect(path)
        try:
            self._connection.executescript(SCHEMA)
            self._begin(path, target)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise UnreadableLog(f"{path} is no journal of an import: {error}; name another with --journal") from None

    def _begin(self, path: Path, target: str) -> None:
        with self._connection as write:
            write.execute("INSERT OR IGNORE INTO about VALUES ('target', ?)", (target,))
            known = write.execute("SELECT value FROM about WHERE name = 'target'").fetchone()[0]
            if known != target:
                raise UnreadableLog(f"{path} is the journal of an import into {known}; name another with --journal")
            (newest,) = write.execute("SELECT coalesce(max(run), 0) FROM sent").fetchone()
        self.run = int(newest) + 1

    @property
    def is_new(self) -> bool:
        """Whether nothing was imported with it before."""
        return self.run == 1

    def take(self, digests: list[bytes]) -> tuple[set[bytes], set[bytes]]:
        """Write rows down as sent now: those that are new, and those that an earlier run sent and never marked."""
        unique = list(dict.fromkeys(digests))
        marks = ",".join("?" * len(unique))
        query = f"SELECT digest, run, stored FROM sent WHERE digest IN ({marks})"  # noqa: S608  only question marks
        known = {digest: (run, stored) for digest, run, stored in self._connection.execute(query, unique)}
        unsure = {digest for digest, (run, stored) in known.items() if not stored and run < self.run}
        fresh = {digest for digest in unique if digest not in known}
        rows = [(digest, self.run) for digest in fresh | unsure]
        with self._connection as write:
            write.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, 0)", rows)
        return fresh, unsure

    def stored_before(self, digests: list[bytes]) -> int:
        """How many of these an earlier run stored."""
        marks = ",".join("?" * len(digests))
        query = f"SELECT count(*) FROM sent WHERE stored = 1 AND run < ? AND digest IN ({marks})"  # noqa: S608  as above
        return int(self._connection.execute(query, (self.run, *digests)).fetchone()[0]) if digests else 0

    def mark(self, digests: Iterable[bytes]) -> None:
        """Rows were stored."""
        with self._connection as write:
            write.executemany("UPDATE sent SET stored = 1 WHERE digest = ?", ((one,) for one in digests))

    def forget(self, digests: Iterable[bytes]) -> None:
        """Rows were refused: they may be sent again once they are right."""
        with self._connection as write:
            write.executemany("DELETE FROM sent WHERE digest = ?", ((one,) for one in digests))

    def keep_line(self, row: Row) -> bool:
        """Keep a row that is a line of an order; False for one that stands in the file already."""
        values = (row.fields["order_id"], row.digest, row.line, msgspec.json.encode(row.fields))
        return self._connection.execute("INSERT OR IGNORE INTO lines VALUES (?, ?, ?, ?)", values).rowcount == 1

    def orders(self) -> Iterator[list[tuple[int, bytes, dict[str, Any]]]]:
        """The lines of each order, as places, digests and fields, in the file's order."""
        found = self._connection.execute("SELECT order_id, line, digest, fields FROM lines ORDER BY order_id, line")
        order: list[tuple[int, bytes, dict[str, Any]]] = []
        before = None
        for order_id, line, digest, fields in found:
            if order and order_id != before:
                yield order
                order = []
            before = order_id
            order.append((line, digest, msgspec.json.decode(fields)))
        if order:
            yield order

    def close(self) -> None:
        """Close the file."""
        self._connection.commit()
        self._connection.close()
