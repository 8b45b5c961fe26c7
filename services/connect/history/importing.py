"""Importing: rows of a file are sent in batches, several under way at once, each row once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mesh.shop_logs.source import Source
from services.connect.history.journal import Batch, Journal
from services.connect.history.mapping import Mapping
from services.connect.history.orders import order_of
from services.connect.history.rows import Bad, Reader, Row
from services.connect.history.sending import AT_ONCE, Sender

UNDER_WAY = 4
"""Batches that wait for an answer at one moment."""
EXAMPLES = 3


@dataclass
class Tally:
    """What became of the rows: each was imported, stood there twice, was imported before, or is bad.

    Every bad row is written to `listing` with its line; `reasons` count them, with the lines of the first.
    """

    listing: Path
    read: int = 0
    imported: int = 0
    orders: int = 0
    doubled: int = 0
    before: int = 0
    bad: int = 0
    looked_up: bool = False
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[int]] = field(default_factory=dict)

    def note(self, bad: Bad) -> None:
        """A row is bad."""
        if not self.bad:
            self.listing.write_text("line\treason\n", encoding="utf-8")
        self.bad += 1
        with self.listing.open("a", encoding="utf-8") as listing:
            listing.write(f"{bad.line}\t{' '.join(bad.reason.split())}\n")
        why = _without_value(bad.reason)
        self.reasons[why] += 1
        if len(places := self.places.setdefault(why, [])) < EXAMPLES:
            places.append(bad.line)


def _without_value(reason: str) -> str:
    """The reason without what stood in the row, so that many rows have one."""
    before, quote, rest = reason.partition("'")
    return f"{before}...{rest.partition(quote)[2]}" if quote else reason


class Import:
    """One run."""

    def __init__(self, found: Source, mapping: Mapping, journal: Journal, sender: Sender, tally: Tally) -> None:
        self._found, self._mapping, self._journal, self._sender = found, mapping, journal, sender
        self.tally = tally
        self._look_up = False

    async def run(self, say: Callable[[Tally], None]) -> None:
        """Send everything. Raises Unavailable where the gateway cannot take it; what was stored is in the journal."""
        under_way: set[asyncio.Task[None]] = set()
        batches = self._batches()
        first = self._journal.is_new
        try:
            while batch := next(batches, None):
                rows, to_send = self._taken(batch)
                for one in to_send:
                    if first and not one.unsure:
                        # A history whose journal was lost is found out by its first rows: then each row is looked up.
                        first = False
                        await self._send(one, rows, again=True)
                        self._look_up = self.tally.looked_up = self.tally.before > 0
                    else:
                        sending = self._send(one, rows, again=one.unsure or self._look_up)
                        under_way.add(asyncio.create_task(sending))
                if len(under_way) >= UNDER_WAY:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for one in done:
                        one.result()
                say(self.tally)
                await asyncio.sleep(0)
            for one in under_way:
                await one
        finally:
            for one in under_way:
                one.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    def _taken(self, batch: list[Row]) -> tuple[dict[bytes, Row], list[Batch]]:
        """The rows by their digests, and which of them are to be sent. The others are counted."""
        taken = self._journal.take([row.digest for row in batch])
        rows = {row.digest: row for row in reversed(batch)}
        known = list(rows.keys() - frozenset[bytes]().union(*(one.digests for one in taken)))
        self.tally.doubled += len(batch) - len(rows)
        stored_before = self._journal.stored_before(known)
        self.tally.before += stored_before
        self.tally.doubled += len(known) - stored_before
        return rows, taken

    async def _send(self, batch: Batch, rows: dict[bytes, Row], *, again: bool) -> None:
        answered = await self._sender.send([row for one, row in rows.items() if one in batch.digests], again=again)
        self._journal.mark(batch, (digest for _, digest in answered.refused))
        self.tally.before += answered.duplicates
        self.tally.imported += len(answered.stored) - answered.duplicates
        for bad, _ in answered.refused:
            self.tally.note(bad)

    def _batches(self) -> Iterator[list[Row]]:
        rows = self._rows()
        while batch := list(islice(rows, AT_ONCE)):
            yield batch

    def _rows(self) -> Iterator[Row]:
        """All rows that can be imported, then the orders that some of them are lines of."""
        for part in Reader(self._mapping).rows(self._found):
            for one in part:
                self.tally.read += 1
                if isinstance(one, Bad):
                    self.tally.note(one)
                elif one.kind != "order_confirmed":
                    yield one
                elif not self._journal.keep_line(one):
                    self.tally.doubled += 1
        for lines in self._journal.orders():
            order = order_of(lines, self._mapping.source)
            if isinstance(order, Bad):
                self.tally.note(order)
            else:
                self.tally.orders += 1
                yield order
