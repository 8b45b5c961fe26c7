"""Reading: events from the lake, and behind them from the stream, each once.

One version of the table gives the rows and their place in the stream; the stream is read from behind that place.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from mesh.broker.protocol import Message
from mesh.envelope import Received
from mesh.errors import InvalidEvent
from mesh.event import Declaration, Event, declaration_of
from mesh.lake.past import types_of
from mesh.lake.rows import message_of, rows_of
from mesh.lake.table import SCHEMA, LakeUnavailable, lake_tables
from mesh.mesh import Mesh, readable
from mesh.subjects import every


async def scan_history(mesh: Mesh, *kinds: type[Event], since: datetime | None = None) -> pl.LazyFrame:
    """Every event of these kinds in a region as rows of `SCHEMA`: the lake's, and those of the streams behind it.

    With `since` those that were stored then or later. Personal fields are ciphertext. What the streams hold behind the
    lake is in memory; without a lake that is all of it. Raises LakeUnavailable, Unavailable.
    """
    parts = [pl.LazyFrame(schema=SCHEMA)]
    for stream, declarations in _homes(mesh, kinds).items():
        table, place = await _snapshot(mesh, stream)
        if table is not None:
            parts.append(_scan(table, declarations))
        tail = [message async for message in _tail(mesh, stream, declarations, place)]
        parts.append(rows_of(tail).lazy())
    rows = pl.concat(parts)
    return rows if since is None else rows.filter(pl.col("stored") >= since)


async def read_history(mesh: Mesh, *kinds: type[Event]) -> AsyncIterator[Received]:
    """Every event of these kinds in a region, from the lake and the streams behind it, personal fields decrypted.

    Like `Mesh.read` it needs little memory, and without a lake it reads the streams alone. The events of a stream come
    day by day, those of a day in order; what cannot be read, or is of no type that is known here, is left out.
    Raises LakeUnavailable, Unavailable.
    """
    for stream, declarations in _homes(mesh, kinds).items():
        table, place = await _snapshot(mesh, stream)
        if table is not None:
            for day in await asyncio.to_thread(_days, table, declarations):
                rows = await asyncio.to_thread(_rows_of_day, table, declarations, day)
                for received in await mesh.personal_data.decrypt(readable(_messages(rows))):
                    yield received
        async for message in _tail(mesh, stream, declarations, place):
            for received in await mesh.personal_data.decrypt(readable([message])):
                yield received


def _homes(mesh: Mesh, kinds: Iterable[type[Event]]) -> dict[str, list[Declaration]]:
    homes: dict[str, list[Declaration]] = {}
    for kind in kinds:
        homes.setdefault(mesh.stream_of(kind), []).append(declaration_of(kind))
    return homes


async def _snapshot(mesh: Mesh, stream: str) -> tuple[DeltaTable | None, int]:
    """The table of a stream with the place up to which it has everything."""
    table = next((one for one in lake_tables(mesh) if one.stream == stream), None)
    if table is None:
        return None, 0
    return await asyncio.to_thread(table.load), table.place


def _tail(mesh: Mesh, stream: str, declarations: Sequence[Declaration], place: int) -> AsyncIterator[Message]:
    filters = [every(declaration, region=mesh.region) for declaration in declarations]
    return mesh.broker.read(stream, filters, after=place)


def _scan(table: DeltaTable, declarations: Sequence[Declaration]) -> pl.LazyFrame:
    return pl.scan_delta(table).select(SCHEMA.names()).filter(pl.col("type").is_in(types_of(declarations)))


def _days(table: DeltaTable, declarations: Sequence[Declaration]) -> list[date]:
    wanted = set(types_of(declarations))
    return sorted({date.fromisoformat(one["day"]) for one in table.partitions() if one["type"] in wanted})


def _rows_of_day(table: DeltaTable, declarations: Sequence[Declaration], day: date) -> pl.DataFrame:
    try:
        return _scan(table, declarations).filter(pl.col("day") == day).sort("sequence").collect()
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        raise LakeUnavailable(f"{table.table_uri} cannot be read: {error}") from error


def _messages(rows: pl.DataFrame) -> Iterable[Message]:
    for row in rows.iter_rows(named=True):
        with suppress(InvalidEvent):
            yield message_of(row)
