"""The envelope: CloudEvents 1.0 in structured JSON mode, decoded and validated in one pass each.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md;
`traceparent` is the distributed-tracing extension (W3C Trace Context), `cause` one of our own: the id of the event
that this one follows from.
"""

from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Generic, Literal, TypeVar

import msgspec

from mesh.errors import InvalidEvent
from mesh.event import Event, declaration_of, find, key_of

E = TypeVar("E", bound=Event)


class Received(msgspec.Struct, Generic[E], frozen=True, kw_only=True):
    """An event with what is known of it: id, times, place in its stream, trace.

    `time` is when it happened, `stored` when JetStream took it (both aware UTC); `region` is where
    it was published; `cause` the id of the event it follows from, where it is one; `attempt` counts
    deliveries from 1 (0 when read rather than delivered).
    """

    event: E
    id: str
    time: datetime
    stored: datetime
    region: str
    sequence: int
    subject: str
    traceparent: str | None = None
    cause: str | None = None
    attempt: int = 0


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One CloudEvent; `data` stays raw until its type is known."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    traceparent: str | None = None
    cause: str | None = None
    data: msgspec.Raw


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for malformed JSON, for bytes that are no UTF-8, and for JSON nested too deeply."""

_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(Envelope)


def encode(
    happened: Event,
    *,
    id: str,
    region: str,
    source: str,
    time: datetime | None = None,
    traceparent: str | None = None,
    cause: str | None = None,
) -> bytes:
    """An event as CloudEvents JSON. `source` becomes `/<region>/<source>`."""
    envelope = Envelope(
        specversion="1.0",
        id=id,
        source=f"/{region}/{source}",
        type=declaration_of(type(happened)).type,
        subject=key_of(happened),
        time=time or datetime.now(UTC),
        traceparent=traceparent,
        cause=cause,
        data=msgspec.Raw(_encoder.encode(happened)),
    )
    return _encoder.encode(envelope)


def open_envelope(body: bytes) -> Envelope:
    """The envelope with its data still raw; InvalidEvent when it is not a CloudEvent."""
    try:
        envelope = _envelopes.decode(body)
    except _UNREADABLE as error:
        raise InvalidEvent(f"not a CloudEvent: {error}") from error
    if envelope.time.tzinfo is None:
        raise InvalidEvent("not a CloudEvent: `time` has no zone (RFC 3339 wants one)")
    if envelope.time.utcoffset():
        try:
            return msgspec.structs.replace(envelope, time=envelope.time.astimezone(UTC))
        except OverflowError as error:
            raise InvalidEvent(f"not a CloudEvent: `time` {envelope.time} is no time in UTC") from error
    return envelope


def decode(body: bytes) -> tuple[Envelope, Event]:
    """The envelope and its validated event; InvalidEvent says what is wrong where."""
    envelope = open_envelope(body)
    declaration = find(envelope.type)
    if declaration is None:
        raise InvalidEvent(f"unknown event type {envelope.type!r}: declare it in mesh/events, or update this service")
    try:
        return envelope, _decoder(declaration.kind).decode(envelope.data)
    except _UNREADABLE as error:
        raise InvalidEvent(f"{envelope.type} {envelope.id}: {error}") from error


def region_of(envelope: Envelope) -> str:
    """The region an event was published in, from its source `/<region>/<service>`."""
    return envelope.source.split("/", 2)[1] if envelope.source.startswith("/") else ""


def derive_id(cause: str, *parts: object) -> str:
    """An id that is the same whenever the same cause leads to the same effect (promise P2)."""
    return blake2b("\x1f".join((cause, *map(str, parts))).encode(), digest_size=16).hexdigest()


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)
