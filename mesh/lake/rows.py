"""Rows: stored messages as rows of the lake, and rows as the messages that they were."""

from collections.abc import Iterable
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


def rows_of(messages: Iterable[Message]) -> pl.DataFrame:
    """One row for each message, in the columns of `SCHEMA`.

    The day is that of the event's own time (UTC), never later than that on which it was stored.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA}
    add = [column.append for column in columns.values()]
    for message in messages:
        for put, value in zip(add, _row(message), strict=True):
            put(value)
    return pl.DataFrame(columns, schema=SCHEMA)


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
    except InvalidEvent:
        return _unreadable(message)
    name, region = envelope.type.rpartition(".v")[0], region_of(envelope)
    place = f"{region}.{name}.{envelope.subject}"
    if message.subject.partition(".")[2] != place or message.fired_by not in (None, f"timer.{place}"):
        return _unreadable(message)
    return (
        envelope.type,
        min(envelope.time, message.stored).date(),
        envelope.id,
        envelope.subject,
        envelope.time,
        message.stored,
        region,
        message.sequence,
        envelope.source,
        envelope.cause,
        envelope.traceparent,
        bytes(envelope.data).decode(),
    )


def _unreadable(message: Message) -> tuple[Any, ...]:
    key = message.subject.rpartition(".")[2]
    id_, stored, text = message.headers.get("Nats-Msg-Id", ""), message.stored, message.body.decode(errors="replace")
    return (
        UNREADABLE,
        stored.date(),
        id_,
        key,
        stored,
        stored,
        "",
        message.sequence,
        message.subject,
        None,
        None,
        text,
    )
