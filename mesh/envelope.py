"""The envelope: CloudEvents 1.0 in structured JSON mode, decoded and validated in one pass each.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md;
`traceparent` is the distributed-tracing extension (W3C Trace Context), `cause` one of our own: the id of the event
that this one follows from.
"""

from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Any, Generic, Literal, TypeVar

import msgspec

from mesh.errors import InvalidEvent, NewerVersion, UnknownEvent
from mesh.event import Declaration, Event, declaration_of, find, key_of, newer

E = TypeVar("E", bound=Event)


class Received(msgspec.Struct, Generic[E], frozen=True, kw_only=True):
    """An event with what is known of it: id, times, place in its stream, trace.

    `time` is when it happened, `stored` when JetStream took it (both aware UTC); `region` is where
    it was published, `source` the service that said it; `cause` the id of the event it follows from, where it is one;
    `attempt` counts deliveries from 1 (0 when read rather than delivered).
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
    source: str = ""

    @property
    def event_time(self) -> datetime:
        """When it happened, but never later than when it was stored: a shopper's clock may be fast."""
        return min(self.time, self.stored)


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
    """The envelope and its validated event, of an older version as its newest one.

    InvalidEvent says what is wrong where, UnknownEvent that its type is. NewerVersion where the event is known here in
    an older version only.
    """
    envelope = open_envelope(body)
    declaration = find(envelope.type)
    if declaration is None:
        if known := newer(envelope.type):
            raise NewerVersion(f"{envelope.type} {envelope.id}: this program knows {known.type}; update this service")
        raise UnknownEvent(envelope.type, f"unknown event type {envelope.type!r}: declare it, or update this service")
    try:
        if envelope.type == declaration.type:
            return envelope, _decoder(declaration.kind).decode(envelope.data)
        return envelope, _upcast(envelope, declaration)
    except _UNREADABLE as error:
        raise InvalidEvent(f"{envelope.type} {envelope.id}: {error}") from error


def _upcast(envelope: Envelope, declaration: Declaration) -> Event:
    data = msgspec.json.decode(envelope.data, type=dict[str, Any])
    version = int(envelope.type.rpartition(".v")[2])
    try:
        for step in declaration.upcasts[version - 1 :]:
            data = step(data)
    except Exception as error:  # whatever it raises: the event cannot be read, and the others can
        raise InvalidEvent(f"{envelope.type} {envelope.id}: upcast to {declaration.type}: {error!r}") from error
    return msgspec.convert(data, declaration.kind, str_keys=True)


def region_of(envelope: Envelope) -> str:
    """The region an event was published in, from its source `/<region>/<service>`."""
    return envelope.source.split("/", 2)[1] if envelope.source.startswith("/") else ""


def source_of(envelope: Envelope) -> str:
    """The service that said it, from its source `/<region>/<service>`."""
    return envelope.source.split("/", 2)[2] if envelope.source.count("/") > 1 else ""


def derive_id(cause: str, *parts: object) -> str:
    """An id that is the same whenever the same cause leads to the same effect (promise P2)."""
    return blake2b("\x1f".join((cause, *map(str, parts))).encode(), digest_size=16).hexdigest()


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)
