"""Own copies: what other regions hold of a region's events, in the order of the stream that they were copied from."""

import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Message
from mesh.broker.wire import STORED
from mesh.streams import mesh_stream

SOURCE = "Nats-Stream-Source"
"""Where a copy says which message of which stream it is (ADR-31): stream, sequence, and more."""
_OF_ITS_TIME = (SOURCE, "Nats-Expected-", "Nats-Batch-")
"""Headers that held when a message was stored."""
_OF_READING = {
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
}
"""Headers that a server adds to what it is asked for."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Copied:
    """An event as it stood in its stream; `stored` is when the first of those that hold it received it (aware UTC)."""

    sequence: int
    stored: datetime
    subject: str = field(compare=False)
    body: bytes = field(compare=False)
    headers: dict[str, str] = field(compare=False)


class OwnCopies:
    """The copies that the connected regions hold of one stream of `region`: read once, each event once.

    `reached` is the newest sequence that each of them has, and `newest` when the newest event was stored, as far as was
    read. Some 25,000 messages a second are read; those of all streams pass for each.
    """

    def __init__(self, others: Sequence[Connection], region: str, stream: str) -> None:
        self.region, self.stream = region, stream
        self.reached = {other.login.region: 0 for other in others}
        self.newest = _NEVER
        self._others = others

    async def behind(self, last: int) -> AsyncIterator[Copied]:
        """The events behind a sequence, in their order; of one that several regions have, the one received first."""
        heads: list[tuple[Copied, int, AsyncIterator[Copied]]] = []
        for at, other in enumerate(self._others):
            reading = self._held_by(other)
            async for first in reading:
                heapq.heappush(heads, (first, at, reading))
                break
        while heads:
            found, at, reading = heapq.heappop(heads)
            self.newest = max(self.newest, found.stored)
            if found.sequence > last:
                last = found.sequence
                yield found
            async for following in reading:
                heapq.heappush(heads, (following, at, reading))
                break

    async def _held_by(self, other: Connection) -> AsyncIterator[Copied]:
        holder = other.login.region
        async for message in JetStreamBroker(other).read(mesh_stream(holder), [f"ev.{self.region}.>"]):
            stream, sequence = source_of(message.headers)
            if stream != self.stream or sequence <= self.reached[holder]:
                continue  # another stream's, or one that was copied a second time
            self.reached[holder] = sequence
            yield Copied(sequence, message.stored, message.subject, message.body, _as_they_were(message))


def source_of(headers: Mapping[str, str]) -> tuple[str, int]:
    """The stream that a copied message comes from, and its sequence there."""
    origin, _, rest = headers.get(SOURCE, "").partition(" ")
    return origin.partition(":")[0], int(rest.partition(" ")[0] or 0)


def _as_they_were(message: Message) -> dict[str, str]:
    kept = {
        name: value
        for name, value in message.headers.items()
        if name not in _OF_READING and not name.startswith(_OF_ITS_TIME)
    }
    return kept | {STORED: message.stored.isoformat()}
