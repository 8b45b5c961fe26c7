"""Past events: what a handler is given again from the lake, since its stream does not keep it any more."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mesh.broker.protocol import Broker, Message
from mesh.errors import Unavailable

REQUEST = "rebuild"
"""The last token of `rpc.<region>.<service>.rebuild`. Only a region's operator may ask it: no service may, for whoever
does says what happened."""
MOST = 256
MOST_BYTES = 2 * 2**20
"""Of one request; a single event may be more."""


class PastEvent(msgspec.Struct, frozen=True, array_like=True):
    """A message as its stream had it."""

    subject: str
    body: bytes
    sequence: int
    stored: datetime


class PastEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The request to handle events, in this order; none: whether there is such a handler."""

    durable: str
    events: tuple[PastEvent, ...] = ()


class PastHandled(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is None when all were handled, or became dead letters. Else the same request may be made `again`."""

    error: str | None = None
    again: bool = False


async def give_past_events(
    broker: Broker, service: str, durable: str, messages: Sequence[Message], *, patience: float
) -> PastHandled:
    """Ask a running service to handle messages again, in order; it is given `patience` seconds. Raises Unavailable."""
    events = tuple(PastEvent(one.subject, one.body, one.sequence, one.stored) for one in messages)
    asked = msgspec.msgpack.encode(PastEvents(durable=durable, events=events))
    try:
        answer = await broker.request(f"rpc.{broker.region}.{service}.{REQUEST}", asked, timeout=patience)
    except Unavailable as error:
        raise Unavailable(f"{service} does not answer: is it running, and as new as this command? ({error})") from error
    return msgspec.msgpack.decode(answer, type=PastHandled)


def past_events(body: bytes) -> tuple[str, list[Message]]:
    """The durable and the messages of a request."""
    asked = msgspec.msgpack.decode(body, type=PastEvents)
    return asked.durable, [
        Message(subject=one.subject, body=one.body, sequence=one.sequence, stored=one.stored, headers={})
        for one in asked.events
    ]


def parts(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages in order, as many together as one request takes."""
    found: list[list[Message]] = []
    size = 0
    for message in messages:
        if not found or len(found[-1]) == MOST or size + len(message.body) > MOST_BYTES:
            found.append([])
            size = 0
        found[-1].append(message)
        size += len(message.body)
    return found
