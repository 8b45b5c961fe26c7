"""Past: what one version of a table holds of its stream, as messages in the stream's order, some at a time."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from mesh.broker.protocol import Message
from mesh.errors import InvalidEvent
from mesh.event import Declaration
from mesh.lake.rows import message_of, rows_of
from mesh.lake.settings import LakeSettings
from mesh.lake.table import SCHEMA, LakeTable, LakeUnavailable, lake_tables
from mesh.mesh import Mesh

WINDOW = 20_000
"""So many sequences are looked at at once: the most messages that are in memory."""


class LakePast:
    """Every event of a stream up to `place`, the first of them at `first`.

    `begun` is when the table was made, `newest` when its last event was stored, `address` where it is.
    """

    def __init__(self, table: LakeTable, delta: DeltaTable) -> None:
        self.stream, self.address, self.place = table.stream, table.address, table.place
        self.begun = datetime.fromtimestamp((delta.metadata().created_time or 0) / 1000, UTC)
        self._delta, self._table = delta, table
        self._files = _files(delta, self.place)
        self.first = cast("int", self._files["first"].min() or 0)
        self.newest = cast("datetime", self._files["newest"].max() or self.begun)

    async def messages(
        self, declarations: Iterable[Declaration], *, since: datetime | None = None
    ) -> AsyncIterator[list[Message]]:
        """The events of these kinds, with `since` those that were stored then or later, in the stream's order.

        What is of no type that is known here is left out. Raises LakeUnavailable.
        """
        types = types_of(declarations)
        for begin, end in _windows(self._files.filter(pl.col("type").is_in(types)), since):
            if messages := await asyncio.to_thread(self._window, types, begin, end, since):
                yield messages

    async def is_of(self, mesh: Mesh) -> bool:
        """Whether the stream has the event with which the table ends, as far as it still has what was then.

        Not, where it was made anew or restored from an older backup. Raises LakeUnavailable, Unavailable.
        """
        return await is_same_stream(mesh, self._table)

    def _window(self, types: Collection[str], begin: int, end: int, since: datetime | None) -> list[Message]:
        wanted = pl.col("type").is_in(types) & pl.col("sequence").is_between(begin, end)
        if since is not None:
            wanted &= pl.col("stored") >= since
        try:
            rows = pl.scan_delta(self._delta).select(SCHEMA.names()).filter(wanted).sort("sequence").collect()
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            raise LakeUnavailable(f"{self.address} cannot be read: {error}") from error
        return list(_known(rows))


async def open_past(mesh: Mesh, stream: str, settings: LakeSettings | None = None) -> LakePast | None:
    """What the region's lake holds of a stream; None where that is nothing. Raises LakeUnavailable."""
    table = next((one for one in lake_tables(mesh, settings) if one.stream == stream), None)
    if table is None or (delta := await asyncio.to_thread(table.load)) is None or not table.place:
        return None
    return await asyncio.to_thread(LakePast, table, delta)


async def is_same_stream(mesh: Mesh, table: LakeTable) -> bool:
    """Whether a loaded table is of the stream as it is now: see `LakePast.is_of`."""
    if (await mesh.broker.stream_state(table.stream)).last < table.place:
        return False
    id_ = await asyncio.to_thread(table.id_at_place)
    message = await mesh.broker.get(table.stream, table.place) if id_ is not None else None
    return message is None or rows_of([message])["id"][0] == id_


def types_of(declarations: Iterable[Declaration]) -> list[str]:
    """The wire types of all versions of these events."""
    return [type_ for one in declarations for type_ in (*one.older_types, one.type)]


def _files(delta: DeltaTable, place: int) -> pl.DataFrame:
    """The table's files by what their statistics say; a file without them may hold anything up to the place."""
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    if not len(files):
        return pl.DataFrame(schema={"type": pl.String, "first": pl.Int64, "last": pl.Int64, "newest": SCHEMA["stored"]})
    return files.select(
        type=pl.col("partition.type"),
        first=pl.col("min.sequence").fill_null(1),
        last=pl.col("max.sequence").fill_null(place),
        newest=pl.col("max.stored").cast(SCHEMA["stored"]),
    )


def _windows(files: pl.DataFrame, since: datetime | None) -> Iterator[tuple[int, int]]:
    """First and last sequence of each part to read, without what no file holds."""
    if since is not None:  # statistics may be cut to milliseconds
        files = files.filter(pl.col("newest").fill_null(since) >= since - timedelta(seconds=1))
    after = 0
    while len(files := files.filter(pl.col("last") > after)):
        begin = max(after + 1, cast("int", files["first"].min()))
        after = begin + WINDOW - 1
        yield begin, after


def _known(rows: pl.DataFrame) -> Iterator[Message]:
    for row in rows.iter_rows(named=True):
        with suppress(InvalidEvent):
            yield message_of(row)
