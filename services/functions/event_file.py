"""Event file: an event in JSON, whole or in part, to try a function with."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from mesh import Received
from mesh.errors import InvalidEvent
from mesh.event import Event, find


class EventFile(msgspec.Struct, frozen=True, kw_only=True):
    """`type` and `data` are needed; the rest of a CloudEvent, or of what `cartmesh events show` has, may be there."""

    type: str
    data: dict[str, Any]
    id: str = "test"
    source: str = "/test/test"
    time: datetime | None = None


def event_of(text: bytes) -> Received[Event]:
    """The event in a file. InvalidEvent says what is wrong with it."""
    try:
        given = msgspec.json.decode(text, type=EventFile)
    except msgspec.DecodeError as error:
        raise InvalidEvent(f'{error}. Write {{"type": "order.placed.v1", "data": {{...}}}}') from None
    declaration = find(given.type)
    if declaration is None or declaration.type != given.type:
        raise InvalidEvent(f"{given.type!r} is no event: deploy/generated/catalog.md lists them")
    try:
        event = msgspec.convert(given.data, declaration.kind)
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"{given.type}: {error}") from None
    _, region, source = (*given.source.split("/", 2), "", "")[:3]
    time = given.time or datetime.now(UTC)
    key = getattr(event, declaration.key)
    return Received(
        event=event,
        id=given.id,
        time=time if time.tzinfo else time.replace(tzinfo=UTC),
        stored=datetime.now(UTC),
        region=region,
        sequence=0,
        subject=f"ev.{region}.{declaration.name}.{key}",
        attempt=1,
        source=source,
    )
