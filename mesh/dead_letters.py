"""Dead letters: messages that could not be handled, stored with the reason, and handled again when asked."""

import json
import traceback
from dataclasses import replace
from datetime import datetime

import msgspec

from mesh.broker.protocol import Broker, Message, Outgoing
from mesh.commit import PATIENCE, store_singles
from mesh.errors import Unavailable
from mesh.masking import without_addresses
from mesh.mesh import Mesh
from mesh.streams import dead_stream

HEADER = "Cartmesh-Dead"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message could not be handled, and where it came from. `sequence` is its place in its stream.

    `invalid` tells that it was no event that its service can read, so that no handler was called.
    """

    service: str
    durable: str
    subject: str
    sequence: int
    attempts: int
    reason: str
    stored: datetime
    trace: str = ""
    invalid: bool = False


class Redo(msgspec.Struct, frozen=True, kw_only=True):
    """The request to a service to handle a dead letter again: its place in DEAD_<region>."""

    durable: str
    sequence: int


class Redone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; `error` is None when it was handled."""

    error: str | None = None


async def store_dead_letter(
    mesh: Mesh,
    service: str,
    durable: str,
    message: Message,
    reason: str,
    error: BaseException | None = None,
    *,
    invalid: bool = False,
) -> None:
    """Store a message in the region's dead letters, once. Raises Unavailable."""
    dead_letter = DeadLetter(
        service=service,
        durable=durable,
        subject=message.subject,
        sequence=message.sequence,
        attempts=message.attempt,
        reason=without_addresses(reason)[:2000],
        stored=message.stored,
        trace=without_addresses("".join(traceback.format_exception(error)))[-4000:] if error else "",
        invalid=invalid,
    )
    stored_message = Outgoing(
        subject=f"dead.{mesh.region}.{service}.{durable}",
        body=message.body,
        id=f"{durable}.{message.subject}.{message.sequence}",
        headers={
            HEADER: json.dumps(msgspec.to_builtins(dead_letter))
        },  # headers are ASCII, and so is what json.dumps makes
    )
    await store_singles(mesh.broker, [(dead_stream(mesh.region), stored_message)], PATIENCE)


async def redrive(broker: Broker, sequence: int, found: DeadLetter, *, patience: float) -> str | None:
    """Have the service that gave up a dead letter handle it again, and remove it: None, or else why it stays.

    `sequence` is its place in the dead letters, `patience` how many seconds the service may take. Ids derive from the
    event: handling it twice does nothing twice. A service that does this declares it: `Service(..., redrives=True)`.
    """
    asked = msgspec.json.encode(Redo(durable=found.durable, sequence=sequence))
    try:
        answer = await broker.request(f"rpc.{broker.region}.{found.service}.redo", asked, timeout=patience)
    except Unavailable as error:
        return f"{found.service} does not answer: is it running? ({error})"
    redone = msgspec.json.decode(answer, type=Redone)
    if redone.error is not None:
        return redone.error
    try:
        await broker.remove(dead_stream(broker.region), sequence)
    except Unavailable as error:
        return f"it was handled, and could not be removed: drive it again later, which does nothing twice ({error})"
    return None


async def latest_dead_letters(mesh: Mesh, most: int) -> list[Message]:
    """The newest dead letters of the region as they are stored, at most so many, newest first. Raises Unavailable.

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
    """A dead letter's message as it was in its own stream."""
    dead_letter = dead_letter_of(message)
    return replace(message, subject=dead_letter.subject, sequence=dead_letter.sequence, stored=dead_letter.stored)


def dead_letter_of(message: Message) -> DeadLetter:
    """What is recorded of a dead letter."""
    return msgspec.json.decode(message.headers[HEADER], type=DeadLetter)
