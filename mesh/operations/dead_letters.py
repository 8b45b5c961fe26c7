"""Reading dead letters, and handing them back to the services that gave them up."""

from collections.abc import AsyncIterator, Sequence

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Message
from mesh.dead_letters import DeadLetter, dead_letter_of
from mesh.dead_letters import redrive as hand_back
from mesh.errors import MeshError
from mesh.streams import dead_stream

HANDLING = 60.0
"""Seconds a service may take for one message."""


async def dead_letters(connection: Connection) -> list[tuple[int, DeadLetter]]:
    """All dead letters of the connected region by their number, oldest first."""
    broker = JetStreamBroker(connection)
    stream = dead_stream(broker.region)
    return [
        (message.sequence, dead_letter_of(message))
        async for message in broker.read(stream, [f"dead.{broker.region}.>"])
    ]


async def dead_letter(connection: Connection, sequence: int) -> tuple[DeadLetter, Message]:
    """One dead letter with its message; MeshError when there is none of that number."""
    broker = JetStreamBroker(connection)
    message = await broker.get(dead_stream(broker.region), sequence)
    if message is None:
        raise MeshError(f"{broker.region} has no dead letter {sequence}: see `cartmesh dead list`")
    return dead_letter_of(message), message


async def redrive(
    connection: Connection, sequences: Sequence[int] = (), *, service: str | None = None, dry_run: bool = False
) -> AsyncIterator[tuple[int, str | None]]:
    """Hand dead letters back, one by one: each number, with None when it was handled and removed, else with why not.

    Ids derive from the event, so handling it again repeats no effect.
    """
    broker = JetStreamBroker(connection)
    for sequence, found in await dead_letters(connection):
        if (sequences and sequence not in sequences) or (service and found.service != service):
            continue
        if dry_run:
            yield sequence, f"would be handled by {found.durable} ({found.reason})"
            continue
        yield sequence, await hand_back(broker, sequence, found, patience=HANDLING)
