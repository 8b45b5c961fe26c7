"""Quarantine: the region's dead letters that were no event their service can read, and whether they are one now."""

from datetime import datetime

import msgspec

from mesh import Mesh
from mesh.broker.protocol import Message
from mesh.dead_letters import dead_letter_of, latest_dead_letters, original, redrive
from mesh.errors import MeshError
from mesh.mesh import received
from mesh.streams import dead_stream

LOOKED_AT = 1_000
"""The newest dead letters, of whatever kind, among which those of events that could not be read are found."""
HANDLING = 20.0
"""Seconds a service may take for one of them while somebody waits for the page."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A message in quarantine. `number` is its dead letter's; `readable`: its event can be read by now.

    Nothing of what it says is in it: an event that cannot be read may hold anything.
    """

    number: int
    at: datetime
    service: str
    handler: str
    subject: str
    size: int
    reason: str
    readable: bool


async def quarantined(mesh: Mesh) -> list[Quarantined]:
    """The newest, newest first. Raises Unavailable."""
    found = await latest_dead_letters(mesh, LOOKED_AT)
    return [_quarantined(message) for message in found if dead_letter_of(message).invalid]


async def handled(mesh: Mesh, number: int) -> str | None:
    """Have a message in quarantine handled by the service that could not read it: None, or else why it waits on.

    Raises Unavailable.
    """
    message = await mesh.broker.get(dead_stream(mesh.region), number)
    if message is None:
        return "it waits no longer: it was handled, or is older than what is kept"
    letter = dead_letter_of(message)
    if not letter.invalid:
        return f"it could be read, and {letter.service} failed with it: see the page Live"
    return await redrive(mesh.broker, number, letter, patience=HANDLING)


def _quarantined(message: Message) -> Quarantined:
    letter = dead_letter_of(message)
    return Quarantined(
        number=message.sequence,
        at=message.stored,
        service=letter.service,
        handler=letter.durable.removeprefix(f"{letter.service}-"),
        subject=letter.subject,
        size=len(message.body),
        reason=letter.reason,
        readable=_readable(original(message)),
    )


def _readable(message: Message) -> bool:
    try:
        received(message)
    except MeshError:
        return False
    return True
