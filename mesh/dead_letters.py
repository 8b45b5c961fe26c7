"""Dead letters: a message that cannot be handled is parked with its reason, and can be handled again."""

import json
import traceback
from dataclasses import replace
from datetime import datetime

import msgspec

from mesh.broker.protocol import Message, Outgoing
from mesh.commit import PATIENCE, store_singles
from mesh.mesh import Mesh
from mesh.personal_data import without_addresses
from mesh.streams import dead_stream

HEADER = "Cartmesh-Dead"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was parked, and where it came from. `sequence` is its place in `stream`."""

    service: str
    durable: str
    subject: str
    sequence: int
    attempts: int
    reason: str
    stored: datetime
    trace: str = ""


class Redo(msgspec.Struct, frozen=True, kw_only=True):
    """The request to a service to handle a parked message again: its place in DEAD_<region>."""

    durable: str
    sequence: int


class Redone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; `error` is None when it was handled."""

    error: str | None = None


async def park(
    mesh: Mesh, service: str, durable: str, message: Message, reason: str, error: BaseException | None = None
) -> None:
    """Store a message in the region's dead letters, once. Raises Unavailable."""
    letter = Letter(
        service=service,
        durable=durable,
        subject=message.subject,
        sequence=message.sequence,
        attempts=message.attempt,
        reason=without_addresses(reason)[:2000],
        stored=message.stored,
        trace=without_addresses("".join(traceback.format_exception(error)))[-4000:] if error else "",
    )
    parked = Outgoing(
        subject=f"dead.{mesh.region}.{service}.{durable}",
        body=message.body,
        id=f"{durable}.{message.subject}.{message.sequence}",
        headers={HEADER: json.dumps(msgspec.to_builtins(letter))},  # headers are ASCII, and so is what json.dumps makes
    )
    await store_singles(mesh.broker, [(dead_stream(mesh.region), parked)], PATIENCE)


async def newest(mesh: Mesh, most: int) -> list[Message]:
    """The newest dead letters of the region as they are parked, at most so many, newest first. Raises Unavailable.

    A service that looks at them declares it: `Service(..., reads=(DEAD,))`.
    """
    stream, below = dead_stream(mesh.region), f"dead.{mesh.region}.>"
    last = await mesh.broker.last(stream, below)
    span, found = most, list[Message]()
    while last is not None:
        after = max(0, last.sequence - span)
        found = [message async for message in mesh.broker.read(stream, [below], after=after)]
        if len(found) >= most or not after:
            break
        span *= 4  # those that were driven again have left gaps
    return found[: -most - 1 : -1]


def original(message: Message) -> Message:
    """A parked message as it was in its stream."""
    letter = letter_of(message)
    return replace(message, subject=letter.subject, sequence=letter.sequence, stored=letter.stored)


def letter_of(message: Message) -> Letter:
    """The letter of a parked message."""
    return msgspec.json.decode(message.headers[HEADER], type=Letter)
