"""MemoryBroker: a connection to one region of a MemoryMesh."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mesh.broker.memory.consumers import Consumer, Receiver
from mesh.broker.memory.log import Log
from mesh.broker.protocol import ConsumerState, Message, Outgoing, Stored, StreamState
from mesh.broker.values import Entry
from mesh.errors import DeclarationError, Denied, MeshError, Unavailable
from mesh.streams import Bucket, ConsumerSpec, Copy, ObjectStore
from mesh.subjects import matches

if TYPE_CHECKING:
    from mesh.broker.memory.regions import MemoryMesh, MemoryRegion


class MemoryBroker:
    """`mesh.broker.Broker` without a server. Made by `MemoryMesh.broker`."""

    def __init__(self, mesh: "MemoryMesh", region: str, *, may_publish: tuple[str, ...]) -> None:
        self.region, self._mesh, self._may_publish = region, mesh, may_publish
        self._open = True
        self._closing: list[Callable[[], Awaitable[None] | None]] = []

    @property
    def connected(self) -> bool:
        """Whether the connection stands right now."""
        return self._open and self._here.up

    async def store(self, stream: str, message: Outgoing) -> Stored:
        """Store one message. Raises Conflict, Denied, Unavailable."""
        log = await self._log(stream)
        self._allowed(message)
        return log.store(message)

    async def store_each(self, stream: str, messages: Sequence[Outgoing]) -> list[Stored | MeshError]:
        """See Broker."""
        outcomes: list[Stored | MeshError] = []
        for message in messages:
            try:
                outcomes.append(await self.store(stream, message))
            except MeshError as error:
                outcomes.append(error)
        return outcomes

    async def store_batch(self, stream: str, messages: Sequence[Outgoing]) -> Stored:
        """Store all or none. Raises Conflict, Duplicate, Denied, Unavailable."""
        log = await self._log(stream)
        for message in messages:
            self._allowed(message)
        return log.store_batch(messages)

    async def last(self, stream: str, subject: str) -> Message | None:
        """The newest message under a subject or pattern."""
        found = (await self._log(stream)).last(subject)
        return _copy(found) if found else None

    async def get(self, stream: str, sequence: int) -> Message | None:
        """The message at a sequence, or None."""
        found = (await self._log(stream)).messages.get(sequence)
        return _copy(found) if found else None

    async def read(
        self, stream: str, patterns: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[Message]:
        """What is stored now under any of the patterns, from behind sequence `after` or `since` a time, in order."""
        for message in (await self._log(stream)).read(patterns, 0 if since else after):
            if since is None or message.stored >= since:
                yield _copy(message)

    async def read_few(self, stream: str, patterns: Sequence[str]) -> list[Message]:
        """See Broker."""
        return [message async for message in self.read(stream, patterns)]

    async def last_of_each(self, stream: str, subjects: Sequence[str]) -> list[Message]:
        """See Broker."""
        return [found for subject in subjects if (found := await self.last(stream, subject)) is not None]

    async def remove(self, stream: str, sequence: int) -> None:
        """See Broker."""
        (await self._log(stream)).remove(sequence)

    async def deliveries(self, consumer: ConsumerSpec) -> Receiver:
        """Bind to a durable; unlike a server's it need not exist before."""
        await self._log(consumer.stream)
        return self._receiver(self._here.consumer(consumer))

    async def make_durable(self, consumer: ConsumerSpec) -> None:
        """See Broker."""
        await self._log(consumer.stream)
        self._here.consumer(consumer).change(consumer)

    async def follow(self, stream: str, filters: tuple[str, ...], since: datetime | None) -> Receiver:
        """A private consumer without acknowledgement, from `since` (None: only new)."""
        log = await self._log(stream)
        spec = ConsumerSpec(stream=stream, durable="", filters=filters)
        after = log.sequence
        if since is not None:
            after = next((at - 1 for at, message in log.messages.items() if message.stored >= since), after)
        consumer = Consumer(log, spec, self._mesh.alarms, after=after, acks=False)
        return self._receiver(consumer, consumer.forget)

    async def stream_state(self, stream: str) -> StreamState:
        """What is held, by one server that always answers."""
        log = await self._log(stream)
        return StreamState(messages=len(log.messages), last=log.sequence, servers={f"{self.region}-1": True})

    async def consumer_states(self, stream: str, names: Sequence[str]) -> dict[str, ConsumerState]:
        """See Broker."""
        await self._log(stream)
        known = self._here.consumers
        return {name: known[stream, name].state for name in names if (stream, name) in known}

    async def create_event_counter(self, stream: str, name: str, subject: str, keep: timedelta) -> None:
        """See Broker."""
        log = await self._log(stream)
        if (stream, name) not in self._here.consumers:
            spec = ConsumerSpec(stream=stream, durable=name, filters=(subject,))
            counter = Consumer(log, spec, self._mesh.alarms, after=log.sequence, acks=False)
            self._here.consumers[stream, name] = counter
            self._mesh.alarms.at(self._mesh.alarms.now() + keep, lambda: self._end(stream, name, counter))

    async def delete_event_counter(self, stream: str, name: str) -> None:
        """See Broker."""
        await self._log(stream)
        self._end(stream, name, self._here.consumers.get((stream, name)))

    async def count(self, stream: str, subject: str, since: datetime) -> int:
        """See Broker."""
        return sum(message.stored >= since for message in (await self._log(stream)).read((subject,), 0))

    async def kv_get(self, bucket: Bucket[Any], key: str) -> Entry | None:
        """A key's value, or None."""
        await self._ready()
        return self._here.values(bucket).get(key)

    async def kv_put(self, bucket: Bucket[Any], key: str, value: bytes, *, revision: int | None = None) -> int:
        """Set a key; Conflict unless `revision` (0: absent) is its newest."""
        await self._ready()
        return self._here.values(bucket).put(key, bytes(value), revision)

    async def kv_get_each(self, bucket: Bucket[Any], keys: Sequence[str]) -> dict[str, Entry]:
        """The values of many keys; see Broker."""
        await self._ready()
        newest = self._here.values(bucket).newest
        return {key: newest[key] for key in keys if key in newest}

    async def kv_put_each(self, bucket: Bucket[Any], puts: Sequence[tuple[str, bytes, int]]) -> list[int]:
        """Set many keys, or none; see Broker."""
        await self._ready()
        return self._here.values(bucket).put_each(puts)

    async def kv_delete(self, bucket: Bucket[Any], key: str) -> None:
        """Remove a key."""
        await self._ready()
        self._here.values(bucket).remove(key)

    async def kv_erase(self, bucket: Bucket[Any], key: str) -> bool:
        """Remove a key without a trace; whether there was one."""
        await self._ready()
        if not bucket.erasable:
            raise DeclarationError(f"bucket {bucket.name} is not erasable")
        return self._here.values(bucket).erase(key)

    async def kv_entries(self, bucket: Bucket[Any]) -> AsyncIterator[Entry]:
        """All present keys with their values."""
        await self._ready()
        for entry in self._here.values(bucket).present():
            yield entry

    @asynccontextmanager
    async def kv_watch(self, bucket: Bucket[Any]) -> AsyncIterator[AsyncIterator[Entry | None]]:
        """All present entries, then None once, then every change as it happens."""
        await self._ready()
        values = self._here.values(bucket)
        queue: asyncio.Queue[Entry | None] = asyncio.Queue()
        for entry in (*values.present(), None):
            queue.put_nowait(entry)
        values.watchers.append(queue)

        async def entries() -> AsyncIterator[Entry | None]:
            while True:
                yield await queue.get()

        try:
            yield entries()
        finally:
            values.watchers.remove(queue)

    async def kv_purge(self, bucket: Bucket[Any]) -> None:
        """Empty a bucket."""
        await self._ready()
        self._here.values(bucket).purge()

    async def object_put(self, object_store: ObjectStore, name: str, value: bytes) -> None:
        """Store a large value under a name, replacing it whole."""
        await self._ready()
        self._here.object_stores.setdefault(object_store.name, {})[name] = bytes(value)

    async def object_get(self, object_store: ObjectStore, name: str) -> bytes | None:
        """A large value, or None."""
        await self._ready()
        return self._here.object_stores.get(object_store.name, {}).get(name)

    async def object_delete(self, object_store: ObjectStore, name: str) -> None:
        """Remove a large value. Harmless when there is none."""
        await self._ready()
        self._here.object_stores.get(object_store.name, {}).pop(name, None)

    async def object_names(self, object_store: ObjectStore) -> list[str]:
        """Names on a object_store."""
        await self._ready()
        return sorted(self._here.object_stores.get(object_store.name, {}))

    async def request(self, subject: str, body: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109  the contract's
        """Ask one member of each group that serves the subject; the first answer counts."""
        await self._ready()
        asked = [
            asyncio.ensure_future(random.choice(members)(bytes(body)))  # noqa: S311  load balancing, not a secret
            for region in self._mesh.regions.values()
            if region.up and self._mesh.linked(self.region, region.name)
            for members in region.answers.get(subject, {}).values()
            if members
        ]
        if not asked:
            raise Unavailable(f"{subject}: nobody answers")
        done, late = await asyncio.wait(asked, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()
        answered = [task.result() for task in done if task.exception() is None]
        if not answered:
            raise Unavailable(f"{subject}: no answer within {timeout:g} s")
        return answered[0]

    async def serve(self, subject: str, group: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer requests on a subject, shared between the members of `group`."""
        await self._ready()
        members = self._here.answers.setdefault(subject, {}).setdefault(group, [])
        members.append(answer)
        self._closing.append(lambda: members.remove(answer))

    async def serve_copy_resets(self, copies: Sequence[Copy]) -> None:
        """Nothing to answer: here a region copies by itself, in order, and misses nothing."""

    async def drain(self) -> None:
        """Stop receiving and answering, close."""
        closing, self._closing = self._closing, []
        for close in closing:
            if (waiting := close()) is not None:
                await waiting
        self._open = False

    @property
    def _here(self) -> "MemoryRegion":
        return self._mesh.regions[self.region]

    async def _ready(self) -> None:
        await asyncio.sleep(0)  # a server lets others run meanwhile, so races show here too
        if not self._open:
            raise Unavailable(f"{self.region}: this connection was drained")
        if not self._here.up:
            raise Unavailable(f"{self.region}: its servers are stopped")

    async def _log(self, stream: str) -> Log:
        await self._ready()
        try:
            return self._here.logs[stream]
        except KeyError:
            raise Unavailable(f"{self.region} has no stream {stream}") from None

    def _allowed(self, message: Outgoing) -> None:
        if not any(matches(pattern, message.subject) for pattern in self._may_publish):
            raise Denied(f"this user may not publish on {message.subject}")

    def _end(self, stream: str, name: str, consumer: Consumer | None) -> None:
        if consumer is not None and self._here.consumers.get((stream, name)) is consumer:
            del self._here.consumers[stream, name]
            consumer.forget()

    def _receiver(self, consumer: Consumer, closed: Callable[[], None] | None = None) -> Receiver:
        receiver = Receiver(consumer, lambda: self._here.up, closed)
        self._closing.append(receiver.close)
        return receiver


def _copy(message: Message) -> Message:
    return replace(message, headers=dict(message.headers))
