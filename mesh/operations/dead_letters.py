"""Letters: reading dead letters and handing them back to the service that parked them."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Message
from mesh.dead_letters import Letter, Redo, Redone, letter_of
from mesh.errors import MeshError, Unavailable
from mesh.streams import dead_stream
from mesh.topology.apply import api

HANDLING = 60.0
"""Seconds a service may take for one message."""


async def letters(connection: Connection) -> list[tuple[int, Letter]]:
    """All dead letters of the connected region by their number, oldest first."""
    broker = JetStreamBroker(connection)
    stream = dead_stream(broker.region)
    return [
        (message.sequence, letter_of(message)) async for message in broker.read(stream, [f"dead.{broker.region}.>"])
    ]


async def letter(connection: Connection, sequence: int) -> tuple[Letter, Message]:
    """One dead letter with its message; MeshError when there is none of that number."""
    broker = JetStreamBroker(connection)
    message = await broker.get(dead_stream(broker.region), sequence)
    if message is None:
        raise MeshError(f"{broker.region} has no dead letter {sequence}: see `cartmesh dead list`")
    return letter_of(message), message


async def redrive(
    connection: Connection, sequences: Sequence[int] = (), *, service: str | None = None, dry_run: bool = False
) -> AsyncIterator[tuple[int, str | None]]:
    """Hand letters back, one by one: each number with None when it was handled (and removed), else with the reason.

    Ids derive from the parked event, so handling it again repeats no effect.
    """
    broker = JetStreamBroker(connection)
    for sequence, parked in await letters(connection):
        if (sequences and sequence not in sequences) or (service and parked.service != service):
            continue
        if dry_run:
            yield sequence, f"would be handled by {parked.durable} ({parked.reason})"
            continue
        asked = msgspec.json.encode(Redo(durable=parked.durable, sequence=sequence))
        try:
            answer = await broker.request(f"rpc.{broker.region}.{parked.service}.redo", asked, timeout=HANDLING)
        except Unavailable as error:
            yield sequence, f"{parked.service} does not answer: is it running? ({error})"
            continue
        redone = msgspec.json.decode(answer, type=Redone)
        if redone.error is None:
            await api(connection, f"STREAM.MSG.DELETE.{dead_stream(broker.region)}", {"seq": sequence})
        yield sequence, redone.error
