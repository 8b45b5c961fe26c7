"""State: a bucket's values, typed. `Objects`: an object store's large values."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from mesh.broker.protocol import Broker
from mesh.broker.values import Entry
from mesh.errors import Conflict, InvalidEvent, Unavailable
from mesh.streams import Bucket, ObjectStore
from mesh.subjects import token

T = TypeVar("T")
TRIES = 20
"""How often an update is made again because somebody else wrote the key meanwhile."""

BATCH = 250
"""The most keys of one atomic batch: values are a few kilobytes, and a batch is held in memory until it is whole."""


@dataclass(frozen=True)
class Update(Generic[T]):
    """What an update found and left: the value before (None: absent), the value after, and its revision."""

    before: T | None
    after: T
    revision: int


class State(Generic[T]):
    """A typed view of one bucket. Keys are subject tokens (InvalidKey otherwise)."""

    def __init__(self, broker: Broker, bucket: Bucket[T]) -> None:
        self._broker, self._bucket = broker, bucket
        self._decoder = msgspec.json.Decoder(bucket.kind)

    async def get(self, key: str) -> T | None:
        """The value, or None."""
        value, _ = await self.entry(key)
        return value

    async def entry(self, key: str) -> tuple[T | None, int]:
        """The value and its revision, for `put(..., revision=)`; (None, 0) when absent."""
        found = await self._broker.kv_get(self._bucket, token(key))
        return (self._decode(found.value, key), found.revision) if found and found.value is not None else (None, 0)

    async def put(self, key: str, value: T, *, revision: int | None = None) -> int:
        """Set the value and return its revision; with `revision` only if still that one (0: absent), else Conflict."""
        return await self._broker.kv_put(self._bucket, token(key), msgspec.json.encode(value), revision=revision)

    async def update(
        self,
        key: str,
        change: Callable[[T | None], T],
        *,
        known: tuple[T | None, int] = (None, -1),
        tries: int = TRIES,
    ) -> Update[T]:
        """Set the value to what `change` makes of the present one (None: absent), whoever else writes it meanwhile.

        `change` must be pure: it is called again when somebody was quicker. Where it changes nothing, nothing is
        written. `known` is a value and revision that are probably still true, which saves reading them first.
        Raises Unavailable after `tries` conflicts, and what `change` raises.
        """
        before, revision = known
        if revision < 0:
            before, revision = await self.entry(key)
        for turn in range(tries):
            after = change(before)
            if after == before:
                return Update(before, after, revision)
            try:
                return Update(before, after, await self.put(key, after, revision=revision))
            except Conflict:
                await asyncio.sleep(random.uniform(0, 0.002 * turn))  # noqa: S311  jitter, not a secret
                before, revision = await self.entry(key)
        raise Unavailable(f"bucket {self._bucket.name}, key {key}: written by others {tries} times in a row")

    async def update_each(
        self, changes: Mapping[str, Callable[[T | None], T]], *, known: Mapping[str, tuple[T | None, int]] | None = None
    ) -> dict[str, Update[T]]:
        """Set many values to what each key's change makes of the present one, as `update` does, in one atomic batch.

        For projections, which handle events in batches: the servers agree and answer once for all keys. Where somebody
        else writes one of them meanwhile, they are updated one by one. What is not `known` is read from any server and
        may be a moment old: a change that leaves an older value as it is must leave the present one as it is, too.
        Raises Unavailable, and what a change raises; some values may have been set then.
        """
        found = dict(known or {})
        unknown = [key for key in changes if key not in found]
        found |= await self.entries(unknown)
        done: dict[str, Update[T]] = {}
        for key, change in changes.items():
            before, revision = found[key]
            done[key] = Update(before, change(before), revision)
        changed = [key for key, update in done.items() if update.after != update.before]
        for at in range(0, len(changed), BATCH):
            keys = changed[at : at + BATCH]
            puts = [(token(key), msgspec.json.encode(done[key].after), done[key].revision) for key in keys]
            try:
                revisions = await self._broker.kv_put_each(self._bucket, puts)
            except Conflict:
                written = await asyncio.gather(*(self.update(key, changes[key]) for key in keys))
                done.update(zip(keys, written, strict=True))
            else:
                for key, revision in zip(keys, revisions, strict=True):
                    done[key] = replace(done[key], revision=revision)
        return done

    async def entries(self, keys: Iterable[str]) -> dict[str, tuple[T | None, int]]:
        """The value and revision of each key, as `entry` gives them, from any server: they may be a moment old."""
        wanted = list(keys)
        found = await self._broker.kv_get_each(self._bucket, list(map(token, wanted)))
        return {key: (self._opened(found[key]), found[key].revision) if key in found else (None, 0) for key in wanted}

    async def put_all(self, values: Mapping[str, tuple[T, int]]) -> dict[str, int]:
        """Set every key, each only if it is still at its revision (0: absent), or with Conflict none of them.

        At most 1,000 keys, as all are one atomic batch. Returns their revisions.
        """
        puts = [(token(key), msgspec.json.encode(value), revision) for key, (value, revision) in values.items()]
        return dict(zip(values, await self._broker.kv_put_each(self._bucket, puts), strict=True)) if puts else {}

    async def delete(self, key: str) -> None:
        """Forget the key."""
        await self._broker.kv_delete(self._bucket, token(key))

    async def erase(self, key: str) -> bool:
        """Overwrite the value of an erasable bucket where it is stored, on every server. Whether there was one."""
        return await self._broker.kv_erase(self._bucket, token(key))

    async def items(self) -> AsyncIterator[tuple[str, T]]:
        """All keys with their values."""
        async for entry in self._broker.kv_entries(self._bucket):
            if entry.value is not None:
                yield entry.key, self._decode(entry.value, entry.key)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[tuple[str, T | None] | None]]:
        """Present items, then None once, then changes as they happen (a None value: removed)."""
        async with self._broker.kv_watch(self._bucket) as entries:

            async def changes() -> AsyncIterator[tuple[str, T | None] | None]:
                async for entry in entries:
                    if entry is None:
                        yield None
                    else:
                        yield entry.key, None if entry.value is None else self._decode(entry.value, entry.key)

            yield changes()

    async def purge(self) -> None:
        """Empty the bucket."""
        await self._broker.kv_purge(self._bucket)

    def _opened(self, entry: Entry) -> T | None:
        return None if entry.value is None else self._decode(entry.value, entry.key)

    def _decode(self, value: bytes, key: str) -> T:
        try:
            return self._decoder.decode(value)
        except msgspec.DecodeError as error:
            raise InvalidEvent(f"bucket {self._bucket.name}, key {key}: {error}") from error


class Objects:
    """An object store's large values by name."""

    def __init__(self, broker: Broker, object_store: ObjectStore) -> None:
        self._broker, self._store = broker, object_store

    async def get(self, name: str) -> bytes | None:
        """The value, or None."""
        return await self._broker.object_get(self._store, name)

    async def put(self, name: str, value: bytes) -> None:
        """Store a value under a name."""
        await self._broker.object_put(self._store, name, value)

    async def delete(self, name: str) -> None:
        """Remove a value. Harmless when there is none."""
        await self._broker.object_delete(self._store, name)

    async def names(self) -> list[str]:
        """All names."""
        return await self._broker.object_names(self._store)
