"""Export: everything that a region holds of a person, in streams and buckets, as JSON."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import msgspec

from mesh import Mesh
from mesh.broker.protocol import Message
from mesh.dead_letters import original
from mesh.envelope import open_envelope
from mesh.errors import InvalidEvent, Unavailable
from mesh.personal_data import PERSONAL_KEYS
from mesh.profiles import name_key, visitor_key
from mesh.service import Service
from mesh.streams import dead_stream, mesh_stream
from mesh.topology.derive.nats import buckets_of, distinct
from services.identity.erasure import Found, PersonKey

RELATED = ("cart_id", "order_id", "offer_id")
"""Ids in a person's events whose other events are about the same person."""


async def export(person_key: PersonKey, person: Found, mesh: Mesh, services: Sequence[Service]) -> dict[str, Any]:
    """What this region holds of `person`: events, messages that could not be handled, and bucket entries.

    Every stream is read whole, twice: what a person did is stored under the ids of carts, orders and offers as well,
    which are known only after the first reading.
    """
    region = mesh.region
    streams = (*(family.stream(region) for family in mesh.layout.families), mesh_stream(region))
    asked = (person_key.customer_id, person_key.email, person_key.phone)
    ids = {*person.visitors, *person.names, *(one for one in asked if one)}
    related: set[str] = set()
    for stream in streams:
        async for event in _events(mesh, stream):
            if _mentions(event["data"], ids):
                related |= {value for name in RELATED if isinstance(value := event["data"].get(name), str)}
    wanted = ids | related
    return {
        "region": region,
        "visitors": list(person.visitors),
        "names": list(person.names),
        "events": [event async for event in _all(mesh, streams) if _mentions(event["data"], wanted)],
        "dead_letters": [event async for event in _events(mesh, dead_stream(region)) if _mentions(event, wanted)],
        **await _entries(mesh, services, wanted, person),
    }


async def _all(mesh: Mesh, streams: Collection[str]) -> AsyncIterator[dict[str, Any]]:
    for stream in streams:
        async for event in _events(mesh, stream):
            yield event


async def _events(mesh: Mesh, stream: str) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream with readable fields; of what is no event that we know, its envelope or its size."""
    async for message in mesh.broker.read(stream, [">"]):
        yield {"stream": stream, "subject": message.subject, **await _shown(mesh, message)}


async def _shown(mesh: Mesh, message: Message) -> dict[str, Any]:
    found = original(message) if message.subject.startswith("dead.") else message
    try:
        received = await mesh.received(found)
    except InvalidEvent:
        try:
            envelope = open_envelope(message.body)
        except InvalidEvent:
            return {"data": {}, "unreadable_bytes": len(message.body)}
        return {"id": envelope.id, "type": envelope.type, "data": msgspec.json.decode(envelope.data)}
    return {
        "id": received.id,
        "type": open_envelope(message.body).type,
        "time": received.time.isoformat(),
        "data": msgspec.to_builtins(received.event),
    }


async def _entries(mesh: Mesh, services: Sequence[Service], ids: set[str], person: Found) -> dict[str, Any]:
    """Entries by bucket; buckets that this region does not have, or that could not be read now, are named."""
    keys = ids | {visitor_key(one) for one in person.visitors} | {name_key(one) for one in person.names}
    found: dict[str, dict[str, Any]] = {}
    unread = []
    for bucket in distinct(bucket for service in services for bucket in buckets_of(service)):
        try:
            async for entry in mesh.broker.kv_entries(bucket):
                value = msgspec.json.decode(entry.value) if entry.value else None
                if entry.key in keys or _mentions(value, ids):
                    shown = {"made": value["made"]} if bucket == PERSONAL_KEYS else value
                    found.setdefault(bucket.name, {})[entry.key] = shown
        except Unavailable:
            unread.append(bucket.name)
    return {"buckets": found, "buckets_not_read": unread}


def _mentions(value: Any, ids: Collection[str]) -> bool:
    """Whether one of the ids is a value or a name anywhere inside."""
    match value:
        case str():
            return value in ids
        case dict():
            return any(_mentions(key, ids) or _mentions(inner, ids) for key, inner in value.items())
        case list() | tuple():
            return any(_mentions(inner, ids) for inner in value)
    return False
