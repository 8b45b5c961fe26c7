"""Requests: what the studio asks of the list, as this service alone writes it."""

from datetime import datetime

import msgspec

from mesh import Mesh, Unchanged
from mesh.errors import Conflict, Unavailable
from mesh.events.address import AddressListImported, AddressSuppressed
from mesh.events.sending import SendingPaused
from mesh.publish import Draft
from notifications.suppressions import standing_of

READS = 10


class Suppress(msgspec.Struct, frozen=True, kw_only=True):
    """An address (a digest) is to be suppressed, or released where not `suppressed`, by an account."""

    address: str
    suppressed: bool
    reason: str
    by: str
    note: str = ""


class ImportedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a list that an account imports; see `AddressListImported`."""

    part: str
    list: str
    by: str
    at: datetime
    addresses: str


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Sending to a place (`sending_pauses.place_of`) is to go on, says an account."""

    place: str
    by: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something was changed by a request."""

    changed: bool


async def suppress_address(asked: Suppress, mesh: Mesh) -> Done:
    """Store that an address is suppressed or released, unless it is so already."""
    for _ in range(READS):
        standing = await standing_of(asked.address, mesh)
        if (standing.reason is not None) == asked.suppressed:
            return Done(changed=False)
        try:
            await mesh.publish(AddressSuppressed(**msgspec.structs.asdict(asked)), standing.condition)
        except Conflict:
            continue
        return Done(changed=True)
    raise Unavailable("others change the same address all the time")


async def store_part(asked: ImportedPart, mesh: Mesh) -> Done:
    """Store a part of a list; the same part again changes nothing."""
    await mesh.publish(Draft(event=AddressListImported(**msgspec.structs.asdict(asked)), id=asked.part))
    return Done(changed=True)


async def resume_sending(asked: Resume, mesh: Mesh) -> Done:
    """Store that sending to a domain goes on, where it is paused."""
    last = await mesh.last(SendingPaused, asked.place)
    if last is None or not last.event.paused:
        return Done(changed=False)
    resumed = msgspec.structs.replace(last.event, paused=False, by=asked.by)
    try:
        await mesh.publish(resumed, Unchanged(SendingPaused, asked.place, last.sequence))
    except Conflict:
        return Done(changed=False)
    return Done(changed=True)
