"""Attempt log: the newest attempts of one webhook, found from the end of the stream."""

from collections.abc import AsyncIterator

from mesh import Mesh, Received
from mesh.event import declaration_of
from mesh.events.delivery import DeliveryAttempted
from mesh.mesh import readable
from mesh.subjects import subject, token

SHOWN, MOST = 100, 5_000
"""How many attempts a page shows, and how many are looked through for one."""
FIRST_LOOK, FURTHER = 5_000, 10
"""How many messages of the stream are looked through at first, and how many times as many where that is too few."""


async def newest_attempts(mesh: Mesh, webhook_id: str, most: int = SHOWN) -> list[Received[DeliveryAttempted]]:
    """At most so many attempts, newest first. Raises Unavailable."""
    stream, wanted = _place(mesh, webhook_id)
    newest = await mesh.broker.last(stream, wanted)
    if newest is None:
        return []
    look = FIRST_LOOK
    while True:
        after = max(newest.sequence - look, 0)
        found = [one async for one in mesh.broker.read(stream, [wanted], after=after)]
        if len(found) >= most or not after:
            return list(readable(found[-most:]))[::-1]
        look *= FURTHER


async def attempts(mesh: Mesh, webhook_id: str) -> AsyncIterator[Received[DeliveryAttempted]]:
    """The newest `MOST` attempts, newest first."""
    for one in await newest_attempts(mesh, webhook_id, MOST):
        yield one


def _place(mesh: Mesh, webhook_id: str) -> tuple[str, str]:
    declaration = declaration_of(DeliveryAttempted)
    return mesh.stream_of(DeliveryAttempted), subject(mesh.region, declaration, token(webhook_id, "webhook_id"))
