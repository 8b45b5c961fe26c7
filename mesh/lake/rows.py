"""Rows: stored messages as rows of the lake, and rows as the messages that they were."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from mesh.broker.protocol import Message
from mesh.envelope import Envelope, open_envelope, region_of
from mesh.errors import InvalidEvent
from mesh.event import find
from mesh.lake.table import SCHEMA

UNREADABLE = "unreadable"
"""The type of a message that is no event, or that its writer had no right to write: its whole text is `data`."""
_MOMENTS = ("time", "stored")
_GIVEN = {name: pl.Int64() if name in _MOMENTS else kind for name, kind in SCHEMA.items() if name != "day"}
"""What `_row` gives, in its order: moments in microseconds since 1970, of which polars makes times and days faster."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def rows_of(messages: Iterable[Message]) -> pl.DataFrame:
    """One row for each message, in the columns of `SCHEMA`.

    The day is that of the event's own time (UTC), never later than that on which it was stored.
    """
    columns = zip(*map(_row, messages), strict=True)
    found = dict(zip(_GIVEN, columns, strict=False)) or dict.fromkeys(_GIVEN, ())
    rows = pl.DataFrame({name: pl.Series(values, dtype=_GIVEN[name]) for name, values in found.items()})
    moments = {name: pl.col(name).cast(SCHEMA[name]) for name in _MOMENTS}
    return rows.with_columns(**moments).with_columns(day=pl.min_horizontal(_MOMENTS).dt.date()).select(SCHEMA.names())


def message_of(row: dict[str, Any]) -> Message:
    """The stored message that a row was made of. Of a type that this program does not know: InvalidEvent."""
    declaration = find(row["type"])
    if declaration is None:
        raise InvalidEvent(f"{row['type']} {row['id']} is not known here")
    envelope = Envelope(
        specversion="1.0",
        id=row["id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        cause=row["cause"],
        traceparent=row["traceparent"],
        data=msgspec.Raw(row["data"].encode()),
    )
    return Message(
        subject=f"{declaration.root}.{row['region']}.{declaration.name}.{row['subject']}",
        body=msgspec.json.encode(envelope),
        sequence=row["sequence"],
        stored=row["stored"],
        headers={},
    )


def _row(message: Message) -> tuple[Any, ...]:
    try:
        envelope = open_envelope(message.body)
        data = bytes(envelope.data).decode()
    except (InvalidEvent, UnicodeDecodeError):
        return _unreadable(message)
    name, region = envelope.type.rpartition(".v")[0], region_of(envelope)
    place = f"{region}.{name}.{envelope.subject}"
    if message.subject.partition(".")[2] != place or message.fired_by not in (None, f"timer.{place}"):
        return _unreadable(message)
    return (
        envelope.type,
        envelope.id,
        envelope.subject,
        (envelope.time - _EPOCH) // _MICROSECOND,
        (message.stored - _EPOCH) // _MICROSECOND,
        region,
        message.sequence,
        envelope.source,
        envelope.cause,
        envelope.traceparent,
        data,
    )


def _unreadable(message: Message) -> tuple[Any, ...]:
    key, stored = message.subject.rpartition(".")[2], (message.stored - _EPOCH) // _MICROSECOND
    id_, text = message.headers.get("Nats-Msg-Id", ""), message.body.decode(errors="replace")
    return UNREADABLE, id_, key, stored, stored, "", message.sequence, message.subject, None, None, text
