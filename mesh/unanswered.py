"""Deliveries that nobody answered: how a message is found that ends every process that handles it.

The server counts all deliveries, also those that were answered with "again later". Whether a process died is known
only to the next one, so what is suspicious is written down before it is handled, and struck out once it is answered.
"""

from datetime import timedelta

from cachetools import LRUCache

from mesh.broker.protocol import Message, Outgoing
from mesh.envelope import derive_id
from mesh.mesh import Mesh
from mesh.subjects import carrier_subject

UNSUSPICIOUS = 10
"""Deliveries of a message that are not looked at: nearly all messages are answered by then, and cost nothing."""
MOST_UNANSWERED = 30
"""Processes that may end without an answer, after the first deliveries, until a message becomes a dead letter."""
_REMEMBERED = 10_000
_KEPT = timedelta(days=1)


class Unanswered:
    """Counts, for one durable, the processes that were given a message and never answered it."""

    def __init__(self, mesh: Mesh, durable: str) -> None:
        self._mesh, self._durable = mesh, durable
        self._counted: LRUCache[int, bool] = LRUCache(_REMEMBERED)  # sequence -> whether it has been answered here

    async def begin(self, message: Message) -> int:
        """Count this process until `answered` is called. Returns how many were counted before. Raises Unavailable."""
        if message.attempt <= UNSUSPICIOUS or message.sequence in self._counted:
            return 0
        before = await self._mesh.broker.last(self._stream, self._subject(message))
        count = int(before.body) if before else 0
        await self._write(message, count + 1)
        self._counted[message.sequence] = False
        return count

    async def answered(self, message: Message) -> None:
        """Count from nought again, because the message did not end its process. Raises Unavailable."""
        if self._counted.get(message.sequence) is False:
            await self._write(message, 0)
            self._counted[message.sequence] = True

    @property
    def _stream(self) -> str:
        # Every service with handlers writes here, so it must be a stream without timers.
        return self._mesh.layout.operations.stream(self._mesh.region)

    def _subject(self, message: Message) -> str:
        id_ = derive_id(self._durable, message.subject, message.sequence)
        return carrier_subject(self._mesh.region, self._mesh.layout.operations.name, id_)

    async def _write(self, message: Message, count: int) -> None:
        note = Outgoing(subject=self._subject(message), body=str(count).encode(), ttl=_KEPT)
        await self._mesh.broker.store(self._stream, note)
