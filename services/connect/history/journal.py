"""Journal: which rows were imported, in a file beside the history, so that an import goes on where it ended.

The rows of a batch are written down before it is sent, and the batch is marked once they are stored. Rows of a batch
that an earlier run sent and did not mark are sent again as ones that may be stored already.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mesh.shop_logs.style import UnreadableLog
from services.connect.history.rows import Row

SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
PRAGMA temp_store=FILE;
PRAGMA cache_size=-65536;
CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, stored INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS row (digest BLOB PRIMARY KEY, batch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE lines (
    order_id TEXT NOT NULL, digest BLOB NOT NULL, line INTEGER NOT NULL, fields BLOB NOT NULL,
    PRIMARY KEY (order_id, digest)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Batch:
    """Rows that are to be sent together, by their digests; with `unsure` some of them may be stored already."""

    id: int
    digests: frozenset[bytes]
    unsure: bool = False


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
            (newest,) = write.execute("SELECT coalesce(max(run), 0) FROM batch").fetchone()
        self.run = int(newest) + 1

    @property
    def is_new(self) -> bool:
        """Whether nothing was imported with it before."""
        return self.run == 1

    def take(self, digests: list[bytes]) -> list[Batch]:
        """Write rows down as sent now: those that are new, and those that an earlier run sent and never marked."""
        unique = list(dict.fromkeys(digests))
        with self._connection as write:
            fresh = self._new_batch()
            added = write.executemany("INSERT OR IGNORE INTO row VALUES (?, ?)", ((one, fresh) for one in unique))
            if added.rowcount == len(unique):
                return [Batch(fresh, frozenset(unique))] if unique else []
            query = f"""SELECT digest, batch, run, stored FROM row JOIN batch ON id = batch
                WHERE digest IN ({_marks(unique)})"""  # noqa: S608  only question marks
            known = write.execute(query, unique).fetchall()
            found = [Batch(fresh, frozenset(digest for digest, batch, _, _ in known if batch == fresh))]
            if again := [digest for digest, _, run, stored in known if run < self.run and not stored]:
                unsure = self._new_batch()
                write.executemany("UPDATE row SET batch = ? WHERE digest = ?", ((unsure, one) for one in again))
                found.append(Batch(unsure, frozenset(again), unsure=True))
        return [one for one in found if one.digests]

    def _new_batch(self) -> int:
        made = self._connection.execute("INSERT INTO batch (run) VALUES (?)", (self.run,)).lastrowid
        return int(made or 0)

    def stored_before(self, digests: list[bytes]) -> int:
        """How many of these an earlier run stored."""
        query = f"""SELECT count(*) FROM row JOIN batch ON id = batch
            WHERE stored = 1 AND run < ? AND digest IN ({_marks(digests)})"""  # noqa: S608  only question marks
        return int(self._connection.execute(query, (self.run, *digests)).fetchone()[0]) if digests else 0

    def mark(self, batch: Batch, refused: Iterable[bytes] = ()) -> None:
        """The rows of a batch are stored, but for those `refused`: they may be sent again once they are right."""
        with self._connection as write:
            write.executemany("DELETE FROM row WHERE digest = ?", ((one,) for one in refused))
            write.execute("UPDATE batch SET stored = 1 WHERE id = ?", (batch.id,))

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


def _marks(values: list[bytes]) -> str:
    return ",".join("?" * len(values))
