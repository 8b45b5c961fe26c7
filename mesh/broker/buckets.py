"""Key-value buckets (ADR-8): a stream `KV_<bucket>` keeps the last message of each subject `$KV.<bucket>.<key>`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from mesh.broker.connection import Connection
from mesh.broker.messages import Messages
from mesh.broker.private_consumer import follow
from mesh.broker.protocol import Expect, Outgoing
from mesh.broker.values import Entry
from mesh.broker.wire import decode_info, is_removed, refused
from mesh.errors import Conflict, DeclarationError
from mesh.streams import Bucket

AT_ONCE = 500
"""Keys of one request: a direct get answers 1,024 subjects at most."""


class Buckets:
    """A region's buckets over one connection; the methods are Broker's `kv_...`."""

    def __init__(self, connection: Connection, messages: Messages) -> None:
        self.connection = connection
        self.region = connection.login.region
        self._messages = messages

    async def get(self, bucket: Bucket, key: str) -> Entry | None:
        """A key's value, from the leader; see Broker."""
        found = await self._messages.last(f"KV_{bucket.name}", f"$KV.{bucket.name}.{key}")
        if found is None or is_removed(found.headers):
            return None
        return Entry(key, found.body, found.sequence)

    async def put(self, bucket: Bucket, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Set a key; see Broker."""
        subject = f"$KV.{bucket.name}.{key}"
        expect = None if revision is None else Expect(subject=subject, sequence=revision)
        message = Outgoing(subject=subject, body=value, expect=expect, ttl=bucket.ttl)
        try:
            return (await self._messages.store(f"KV_{bucket.name}", message)).sequence
        except Conflict:
            # A removed key has a marker: absent for the reader, a revision for the server.
            marker = await self._messages.last(f"KV_{bucket.name}", subject) if revision == 0 else None
            if marker is None or not is_removed(marker.headers):
                raise
        over = replace(message, expect=Expect(subject=subject, sequence=marker.sequence))
        return (await self._messages.store(f"KV_{bucket.name}", over)).sequence

    async def get_each(self, bucket: Bucket, keys: Sequence[str]) -> dict[str, Entry]:
        """The values of many keys by direct gets (ADR-31); see Broker."""
        prefix, found = f"$KV.{bucket.name}.", dict[str, Entry]()
        for at in range(0, len(keys), AT_ONCE):
            subjects = [f"{prefix}{key}" for key in keys[at : at + AT_ONCE]]
            for message in await self._messages.last_of_each(f"KV_{bucket.name}", subjects):
                key, removed = message.subject.removeprefix(prefix), is_removed(message.headers)
                found[key] = Entry(key, None if removed else message.body, message.sequence)
        return found

    async def put_each(self, bucket: Bucket, puts: Sequence[tuple[str, bytes, int]]) -> list[int]:
        """Set many keys in one commit (ADR-50); see Broker. One by itself is no batch: that costs the servers less."""
        if len(puts) == 1:
            ((key, value, revision),) = puts
            return [await self.put(bucket, key, value, revision=revision)]
        messages = [
            Outgoing(subject=subject, body=value, expect=Expect(subject=subject, sequence=revision), ttl=bucket.ttl)
            for key, value, revision in puts
            for subject in (f"$KV.{bucket.name}.{key}",)
        ]
        last = (await self._messages.store_batch(f"KV_{bucket.name}", messages)).sequence
        return list(range(last - len(puts) + 1, last + 1))

    async def delete(self, bucket: Bucket, key: str) -> None:
        """Remove a key; see Broker."""
        marker = Outgoing(subject=f"$KV.{bucket.name}.{key}", body=b"", headers={"KV-Operation": "DEL"})
        await self._messages.store(f"KV_{bucket.name}", marker)

    async def erase(self, bucket: Bucket, key: str) -> bool:
        """Overwrite a value; see Broker. The server fills the message's place in its file with random bytes."""
        if not bucket.erasable:
            raise DeclarationError(f"bucket {bucket.name} is not erasable")
        found = await self._messages.last(f"KV_{bucket.name}", f"$KV.{bucket.name}.{key}")
        if found is None:
            return False
        await self._messages.remove(f"KV_{bucket.name}", found.sequence)
        return not is_removed(found.headers)

    async def entries(self, bucket: Bucket) -> AsyncIterator[Entry]:
        """Present keys; see Broker."""
        async with self.watch(bucket) as entries:
            async for entry in entries:
                if entry is None:
                    return
                if entry.value is not None:
                    yield entry

    @asynccontextmanager
    async def watch(self, bucket: Bucket) -> AsyncIterator[AsyncIterator[Entry | None]]:
        """Present entries, None, then changes; see Broker."""
        start: dict[str, object] = {"deliver_policy": "last_per_subject"}
        prefix = f"$KV.{bucket.name}."
        pull, present = await follow(self.connection, f"KV_{bucket.name}", (f"{prefix}>",), start)

        async def entries() -> AsyncIterator[Entry | None]:
            left = present
            if not left:
                yield None
            while True:
                for message in await pull.fetch(256, 5.0):
                    removed = is_removed(message.headers)
                    if not removed or not left:
                        key = message.subject.removeprefix(prefix)
                        yield Entry(key, None if removed else message.body, message.sequence)
                    if left:
                        left -= 1
                        if not left:
                            yield None

        try:
            yield entries()
        finally:
            await pull.close()

    async def purge(self, bucket: Bucket) -> None:
        """Empty a bucket; see Broker."""
        reply = await self.connection.request(f"$JS.API.STREAM.PURGE.KV_{bucket.name}", b"")
        info = decode_info(reply.data)
        if info.error is not None:
            raise refused(self.region, info.error, f"cannot empty bucket {bucket.name}")
