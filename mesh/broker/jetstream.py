"""The broker on NATS JetStream."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

from nats.aio.msg import Msg
from nats.errors import Error

from mesh.broker import copy_resets, durable, private_consumer, stream_information
from mesh.broker.buckets import Buckets
from mesh.broker.connection import Connection, Login, status
from mesh.broker.messages import Messages
from mesh.broker.object_stores import ObjectStores
from mesh.broker.protocol import ConsumerState, Message, Outgoing, Stored, StreamState
from mesh.broker.pull import Pull
from mesh.broker.values import Entry
from mesh.errors import MeshError, Unavailable
from mesh.observability.logs import log
from mesh.streams import Bucket, ConsumerSpec, Copy, ObjectStore

INBOXES = ("_INBOX", "_R_.")
"""What the subject of an answer begins with: a user's inbox (`mesh.topology.access.inbox_of`), or, when the request
comes from another account, what the server put in its place. No client may name the second one."""


class JetStreamBroker:
    """One user's connection to one region's JetStream."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.region = connection.login.region
        self._messages = Messages(connection)
        self._buckets = Buckets(connection, self._messages)
        self._object_stores = ObjectStores(connection)

    @classmethod
    async def connect(
        cls,
        region: str,
        servers: Sequence[str],
        *,
        user: str | None = None,
        password: str | None = None,
        inbox_prefix: str = "_INBOX",
        name: str = "cartmesh",
    ) -> "JetStreamBroker":
        """Connect; raises Unavailable or Denied. Later losses of the connection are healed in the background."""
        login = Login(region=region, servers=tuple(servers), user=user, password=password, inbox_prefix=inbox_prefix)
        return cls(await Connection.open(login, name=name))

    @property
    def connected(self) -> bool:
        """Whether the connection stands right now."""
        return self.connection.client.is_connected

    # Storing

    async def store(self, stream: str, message: Outgoing) -> Stored:
        """Store one message; see Broker."""
        return await self._messages.store(stream, message)

    async def store_each(self, stream: str, messages: Sequence[Outgoing]) -> list[Stored | MeshError]:
        """Store messages side by side; see Broker. All are sent before the first answer is waited for."""
        return await self._messages.store_each(stream, messages)

    async def store_batch(self, stream: str, messages: Sequence[Outgoing]) -> Stored:
        """Store all messages in one commit (ADR-50); see Broker. Only the last answer is waited for."""
        return await self._messages.store_batch(stream, messages)

    # Reading

    async def last(self, stream: str, subject: str) -> Message | None:
        """The latest message, from the leader; see Broker."""
        return await self._messages.last(stream, subject)

    async def get(self, stream: str, sequence: int) -> Message | None:
        """The message at a sequence; see Broker."""
        return await self._messages.get(stream, sequence)

    def read(
        self, stream: str, patterns: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[Message]:
        """Messages in order by batched direct get (ADR-31); see Broker."""
        return self._messages.read(stream, patterns, after=after, since=since)

    async def read_few(self, stream: str, patterns: Sequence[str]) -> list[Message]:
        """Messages of few subjects; see Broker."""
        return await self._messages.read_few(stream, patterns)

    async def last_of_each(self, stream: str, subjects: Sequence[str]) -> list[Message]:
        """The newest of each subject; see Broker."""
        return await self._messages.last_of_each(stream, subjects)

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove a message; see Broker. The server fills its place in its file with random bytes."""
        await self._messages.remove(stream, sequence)

    # Consuming

    async def deliveries(self, consumer: ConsumerSpec) -> Pull:
        """Bind to a durable; see Broker."""
        return await Pull(self.connection, consumer.stream, consumer.durable).open()

    async def make_durable(self, consumer: ConsumerSpec) -> None:
        """Create or change a durable; see Broker."""
        await durable.make_durable(self.connection, consumer)

    async def follow(self, stream: str, filters: tuple[str, ...], since: datetime | None) -> Pull:
        """A private consumer; see Broker."""
        start: dict[str, object] = {"deliver_policy": "new"}
        if since is not None:
            start = {"deliver_policy": "by_start_time", "opt_start_time": since.astimezone(UTC).isoformat()}
        pull, _ = await private_consumer.follow(self.connection, stream, filters, start)
        return pull

    # Counting

    async def stream_state(self, stream: str) -> StreamState:
        """The stream as its leader reports it; see Broker."""
        return await stream_information.stream_state(self.connection, stream)

    async def consumer_states(self, stream: str, names: Sequence[str]) -> dict[str, ConsumerState]:
        """The consumers as their leaders report them; see Broker."""
        return await stream_information.consumer_states(self.connection, stream, names)

    async def create_event_counter(self, stream: str, name: str, subject: str, keep: timedelta) -> None:
        """Start an event counter; see Broker."""
        await stream_information.create_event_counter(self.connection, stream, name, subject, keep)

    async def delete_event_counter(self, stream: str, name: str) -> None:
        """Remove an event counter; see Broker."""
        await stream_information.delete_event_counter(self.connection, stream, name)

    async def count(self, stream: str, subject: str, since: datetime) -> int:
        """Count the messages stored since a time; see Broker."""
        return await stream_information.count(self.connection, stream, subject, since)

    # Buckets

    async def kv_get(self, bucket: Bucket, key: str) -> Entry | None:
        """A key's value, from the leader; see Broker."""
        return await self._buckets.get(bucket, key)

    async def kv_put(self, bucket: Bucket, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Set a key; see Broker."""
        return await self._buckets.put(bucket, key, value, revision=revision)

    async def kv_get_each(self, bucket: Bucket, keys: Sequence[str]) -> dict[str, Entry]:
        """The values of many keys; see Broker."""
        return await self._buckets.get_each(bucket, keys)

    async def kv_put_each(self, bucket: Bucket, puts: Sequence[tuple[str, bytes, int]]) -> list[int]:
        """Set many keys; see Broker."""
        return await self._buckets.put_each(bucket, puts)

    async def kv_delete(self, bucket: Bucket, key: str) -> None:
        """Remove a key; see Broker."""
        await self._buckets.delete(bucket, key)

    async def kv_erase(self, bucket: Bucket, key: str) -> bool:
        """Overwrite a value where it is stored; see Broker."""
        return await self._buckets.erase(bucket, key)

    def kv_entries(self, bucket: Bucket) -> AsyncIterator[Entry]:
        """Present keys; see Broker."""
        return self._buckets.entries(bucket)

    def kv_watch(self, bucket: Bucket) -> AbstractAsyncContextManager[AsyncIterator[Entry | None]]:
        """Present entries, None, then changes; see Broker."""
        return self._buckets.watch(bucket)

    async def kv_purge(self, bucket: Bucket) -> None:
        """Empty a bucket; see Broker."""
        await self._buckets.purge(bucket)

    # Object stores

    async def object_put(self, object_store: ObjectStore, name: str, value: bytes) -> None:
        """Store an object; see Broker."""
        await self._object_stores.put(object_store, name, value)

    async def object_get(self, object_store: ObjectStore, name: str) -> bytes | None:
        """An object, or None; see Broker."""
        return await self._object_stores.get(object_store, name)

    async def object_delete(self, object_store: ObjectStore, name: str) -> None:
        """Remove an object; see Broker."""
        await self._object_stores.delete(object_store, name)

    async def object_names(self, object_store: ObjectStore) -> list[str]:
        """Names in an object store; see Broker."""
        return await self._object_stores.names(object_store)

    # Asking and answering

    async def request(self, subject: str, body: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109  the protocol's name
        """Ask; see Broker."""
        reply = await self.connection.request(subject, body, wait=timeout)
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: nobody answers {subject}")
        return reply.data

    async def serve(self, subject: str, group: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer; see Broker."""

        async def respond(message: Msg) -> None:
            # A consumer delivers to any subject, under the message's own, and whoever may answer may answer to any.
            if message.subject != subject or not message.reply.startswith(INBOXES):
                log.warning("not a request", subject=subject, sent_as=message.subject, reply=message.reply)
                return
            try:
                await message.respond(await answer(message.data))
            except Exception:  # noqa: BLE001  the client gets no answer, the log has the reason
                log.exception("answer failed", subject=subject)

        try:
            await self.connection.client.subscribe(subject, queue=group, cb=respond)
            await self.connection.settled()
        except (Error, OSError, TimeoutError) as error:
            raise Unavailable(f"{self.region}: cannot serve {subject}: {error or type(error).__name__}") from error

    async def serve_copy_resets(self, copies: Sequence[Copy]) -> None:
        """Answer; see Broker."""
        try:
            await copy_resets.serve(self.connection, copies)
        except (Error, OSError, TimeoutError) as error:
            raise Unavailable(f"{self.region}: cannot serve resets: {error or type(error).__name__}") from error

    async def drain(self) -> None:
        """Close; see Broker."""
        await self.connection.drain()
