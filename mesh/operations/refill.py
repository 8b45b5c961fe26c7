"""Refill: a closed stream is given its events back from other regions' copies, each at the sequence it had.

What was at the sequences between (timers, conditions) is not copied: they are taken by messages that expire at once.
Each commit is stored only behind the message that it was made for (`Nats-Expected-Last-Sequence`), so a refill that is
killed goes on where it was, and two at once do no harm.
"""

import asyncio
from secrets import token_hex

import msgspec

from mesh.broker.connection import Connection
from mesh.errors import MeshError, Unavailable
from mesh.operations.own_copies import Copied, OwnCopies
from mesh.subjects import carrier_subject
from mesh.topology.jetstream_api import answered, api
from mesh.topology.rebuilding import inside

MOST = 1000
"""Messages of a commit (ADR-50)."""
MOST_BYTES = 1 << 20
TRIES = 20
_SEEN_BEFORE = 10201
_PAUSE = 0.2
"""Seconds: longer than a closed stream remembers an id."""
_WAIT = 30.0
Stored = tuple[str, bytes, dict[str, str]]


async def refill(connection: Connection, stream: str, copies: OwnCopies, cancelled: set[str] | None = None) -> int:
    """Store in a closed stream what others have behind its last message; the number of events.

    `cancelled` takes the subjects of timers that fired or were cancelled by what came back. Raises MeshError where
    somebody else stores something in the stream, Unavailable.
    """
    state = (await answered(connection, f"STREAM.INFO.{stream}"))["state"]
    filling, count = _Filling(connection, stream, state["last_seq"]), 0
    async for event in copies.behind(state["last_seq"]):
        await filling.add(event)
        if cancelled is not None and (timer := event.headers.get("Nats-Scheduler")):
            cancelled.add(timer)
        count += 1
    await filling.flush()
    return count


class _Filling:
    """The next commit of a stream, and how far the stream is."""

    def __init__(self, connection: Connection, stream: str, last: int) -> None:
        self.connection, self.stream, self.last = connection, stream, last
        self._filler = carrier_subject(connection.login.region, stream.rpartition("_")[0], "restored")
        self._batch: list[Stored] = []
        self._ids = set[str]()
        self._bytes = 0

    async def add(self, event: Copied) -> None:
        """Take an event, and what fills the sequences before it; the first one of an empty stream needs none."""
        if not self.last and not self._batch and event.sequence > 1:
            await answered(self.connection, f"STREAM.PURGE.{self.stream}", {"seq": event.sequence})
            self.last = event.sequence - 1
        for _ in range(self.last + len(self._batch) + 1, event.sequence):
            await self._take(self._filler, b"", {"Nats-TTL": "1s"})
        await self._take(event.subject, event.body, event.headers)

    async def _take(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        id_ = headers.get("Nats-Msg-Id")
        if len(self._batch) == MOST or self._bytes + len(body) > MOST_BYTES or id_ in self._ids:
            await self.flush()
        if id_:
            self._ids.add(id_)
        self._batch.append((inside(self.stream, subject), body, headers))
        self._bytes += len(body)

    async def flush(self) -> None:
        """Store what was taken. An id that was stored just before is waited for."""
        for _ in range(TRIES if self._batch else 0):
            if await self._commit():
                self.last += len(self._batch)
                self._batch, self._bytes = [], 0
                self._ids.clear()
                return
            await asyncio.sleep(_PAUSE)
        if self._batch:
            raise Unavailable(f"{self.stream} does not take an id a second time")

    async def _commit(self) -> bool:
        """Store the commit; False where it is to be tried again (ADR-50)."""
        batch, last = token_hex(11), len(self._batch)
        for at, (subject, body, headers) in enumerate(self._batch, start=1):
            sent = headers | {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(at)}
            if at == 1:
                sent["Nats-Expected-Last-Sequence"] = str(self.last)
            if at < last:
                await self.connection.publish(subject, body, sent)
        sent["Nats-Batch-Commit"] = "1"
        try:
            reply = await self.connection.request(subject, body, sent, wait=_WAIT)
        except Unavailable:  # it may be stored all the same: then the stream is as far as it should be
            return await self._is_stored()
        error = msgspec.json.decode(reply.data).get("error") if reply.data else {"description": "no stream takes it"}
        if not error:
            return True
        if error.get("err_code") == _SEEN_BEFORE:
            return False
        raise MeshError(
            f"{self.stream} did not take what belongs behind {self.last:,}: {error.get('description')}. "
            "Where something else was stored meanwhile, begin again"
        )

    async def _is_stored(self) -> bool:
        state = (await api(self.connection, f"STREAM.INFO.{self.stream}"))["state"]
        return int(state["last_seq"]) == self.last + len(self._batch)
