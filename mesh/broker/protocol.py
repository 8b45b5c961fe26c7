"""Broker: what the mesh needs of a message broker. `jetstream.py` and `memory.py` implement it, and only they.

Everything is bytes here: events, keys and types live above. All methods may raise Unavailable.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from mesh.broker.values import Values
from mesh.errors import MeshError
from mesh.streams import ConsumerSpec, Copy


@dataclass(frozen=True, kw_only=True)
class Expect:
    """The last sequence of exactly this subject (0: nothing yet). Wildcards are refused: see decisions/0002."""

    subject: str
    sequence: int


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message to be stored.

    `id` deduplicates within the stream's window. `expect` makes the store conditional.
    `at` and `target` make it a schedule: `subject` is the timer's, `target` where it will be published.
    `cancels` is the subject of a timer that this message removes in the same commit.
    """

    subject: str
    body: bytes
    id: str | None = None
    expect: Expect | None = None
    at: datetime | None = None
    target: str | None = None
    cancels: str | None = None
    ttl: timedelta | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a message was stored; `duplicate` when the same id had been stored before at that sequence."""

    sequence: int
    duplicate: bool = False


@dataclass(slots=True)
class Message:
    """A stored message. Those that were delivered by a consumer can be answered, once.

    `attempt` counts deliveries from 1, and is 0 for a message that was read.
    `ack` waits for nothing; `nak` asks for it again after a delay; `progress` buys another ack_wait;
    `pending` is how many more the consumer still had to deliver behind this one.
    """

    subject: str
    body: bytes
    sequence: int
    stored: datetime
    headers: dict[str, str]
    attempt: int = 0
    pending: int = 0
    answer: "Callable[[bytes], Awaitable[None]] | None" = None

    @property
    def fired_by(self) -> str | None:
        """The subject of the schedule that the server published it for (ADR-51); None when somebody published it.

        What cancels a timer names it too, but has the id that whoever published it gave it.
        """
        return None if "Nats-Msg-Id" in self.headers else self.headers.get("Nats-Scheduler")

    async def ack(self) -> None:
        """Done with it."""
        await self._reply(b"+ACK")

    async def nak(self, delay: timedelta) -> None:
        """Deliver it again after `delay`."""
        await self._reply(b'-NAK {"delay": %d}' % int(delay.total_seconds() * 1e9))

    async def progress(self) -> None:
        """Still working on it."""
        await self._reply(b"+WPI")

    async def _reply(self, what: bytes) -> None:
        if self.answer is None:
            raise RuntimeError("this message was read, not delivered: there is nothing to answer")
        await self.answer(what)


class Deliveries(Protocol):
    """The receiving end of a consumer."""

    async def fetch(self, most: int, wait: float) -> list[Message]:
        """Up to `most` messages; returns as soon as there is one, or empty after `wait` seconds."""
        ...

    async def keep(self) -> None:
        """Tell the server that what was received ahead of `fetch` has not been forgotten."""
        ...

    async def release(self) -> None:
        """Receive nothing more, and give back what was received ahead of `fetch`, so that others get it at once."""
        ...

    async def close(self) -> None:
        """Stop receiving. What was received and not answered is delivered again later."""
        ...


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """A stream as its leader sees it.

    `messages` it holds, the sequence of the `last` it took, and whether each server that has a copy answered lately.
    """

    messages: int
    last: int
    servers: dict[str, bool]


@dataclass(frozen=True, kw_only=True)
class ConsumerState:
    """A consumer as its leader sees it, in messages: `pending` not yet delivered, `ack_pending` not acknowledged.

    `begun` is when it was made, `filters` are the subjects that it delivers.
    """

    begun: datetime
    pending: int
    ack_pending: int = 0
    redelivered: int = 0
    filters: frozenset[str] = frozenset()


class Broker(Values, Protocol):
    """A connection of one user to one region."""

    region: str

    @property
    def connected(self) -> bool:
        """Whether the connection stands right now."""
        ...

    async def store(self, stream: str, message: Outgoing) -> Stored:
        """Store one message. Raises Conflict (expectation), Denied, Unavailable."""
        ...

    async def store_each(self, stream: str, messages: Sequence[Outgoing]) -> list["Stored | MeshError"]:
        """Store messages side by side, each for itself: its place, or the error that `store` would have raised."""
        ...

    async def store_batch(self, stream: str, messages: Sequence[Outgoing]) -> Stored:
        """Store 2 to 1,000 messages or none (ADR-50); the answer is the last one's place.

        Raises Conflict, Duplicate (an id was stored before; nothing was stored now), Denied, Unavailable.
        """
        ...

    async def last(self, stream: str, subject: str) -> Message | None:
        """The newest message under a subject or pattern, as the leader knows it."""
        ...

    async def get(self, stream: str, sequence: int) -> Message | None:
        """The message at a sequence, or None."""
        ...

    def read(
        self, stream: str, patterns: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[Message]:
        """Messages under any of the patterns in order, behind sequence `after`, up to now or just before.

        With `since` (aware UTC) those that were stored at that time or later, whatever `after` says.

        Each pattern is read at a moment of its own: who goes on behind the last message read reads one pattern.
        """
        ...

    async def read_few(self, stream: str, patterns: Sequence[str]) -> list[Message]:
        """Messages under patterns that match few subjects, in order, as they were at one moment, now or just before.

        Unlike `read` it does not look through all that lies between them, however much that is (decisions/0030).
        """
        ...

    async def last_of_each(self, stream: str, subjects: Sequence[str]) -> list[Message]:
        """The newest message of each of at most 1,000 subjects, as one server held them now or just before.

        In no order, and without those that have none. One request, however many there are.
        """
        ...

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove a message for good. Harmless when there is none. Raises Unavailable, Denied."""
        ...

    async def deliveries(self, consumer: ConsumerSpec) -> Deliveries:
        """Bind to a durable consumer that exists."""
        ...

    async def make_durable(self, consumer: ConsumerSpec) -> None:
        """Create a durable, or let the one of that name deliver what the spec says from where it is. Raises Denied."""
        ...

    async def follow(self, stream: str, filters: tuple[str, ...], since: datetime | None) -> Deliveries:
        """A private consumer without acknowledgement, from `since` (None: only new); gone when closed."""
        ...

    async def stream_state(self, stream: str) -> StreamState:
        """The stream as its leader reports it."""
        ...

    async def consumer_states(self, stream: str, names: Sequence[str]) -> dict[str, ConsumerState]:
        """A stream's consumers as their leaders report them, without those that do not exist or do not answer soon."""
        ...

    async def create_event_counter(self, stream: str, name: str, subject: str, keep: timedelta) -> None:
        """Create the event counter `name`: a consumer that counts what the stream stores under a pattern from now on.

        `pending` of its state is the count; nothing is delivered. Harmless when it counts already. The server ends
        it after `keep`.
        """
        ...

    async def delete_event_counter(self, stream: str, name: str) -> None:
        """Remove an event counter. Harmless when there is none."""
        ...

    async def count(self, stream: str, subject: str, since: datetime) -> int:
        """How many messages under a pattern the stream holds that were stored since a time."""
        ...

    async def request(self, subject: str, body: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109  what brokers call it
        """Ask and wait for one answer; Unavailable when nobody answers in time."""
        ...

    async def serve(self, subject: str, group: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer requests on a subject, shared between the members of `group`."""
        ...

    async def serve_copy_resets(self, copies: Sequence[Copy]) -> None:
        """Answer servers of other regions that ask to be delivered these copies again."""
        ...

    async def drain(self) -> None:
        """Flush what was sent, stop receiving, close."""
        ...
