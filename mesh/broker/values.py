"""What a broker keeps under keys and names: buckets of small values, and object stores of large ones."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from mesh.streams import Bucket, ObjectStore


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value in a bucket; `value` is None when the key was deleted or expired (watch only)."""

    key: str
    value: bytes | None
    revision: int


class Values(Protocol):
    """The part of a Broker that reads and sets them."""

    async def kv_get(self, bucket: Bucket, key: str) -> Entry | None:
        """A key's value, or None."""
        ...

    async def kv_put(self, bucket: Bucket, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Set a key; with `revision` only if that is still its latest (0: only if absent), else Conflict."""
        ...

    async def kv_get_each(self, bucket: Bucket, keys: Sequence[str]) -> dict[str, Entry]:
        """The newest of each key that was ever set, by few requests; one without a value was removed.

        May miss what came a moment ago.
        """
        ...

    async def kv_put_each(self, bucket: Bucket, puts: Sequence[tuple[str, bytes, int]]) -> list[int]:
        """Set many keys in one atomic batch; `puts` are key, value and the revision that must still be its latest.

        0 is for an absent key. Returns the new revisions. Conflict, and nothing is set, where one is another by now.
        """
        ...

    async def kv_delete(self, bucket: Bucket, key: str) -> None:
        """Remove a key."""
        ...

    async def kv_erase(self, bucket: Bucket, key: str) -> bool:
        """Overwrite a key's latest value where it is stored; whether there was one. Of erasable buckets only."""
        ...

    def kv_entries(self, bucket: Bucket) -> AsyncIterator[Entry]:
        """All present keys with their values."""
        ...

    def kv_watch(self, bucket: Bucket) -> AbstractAsyncContextManager[AsyncIterator[Entry | None]]:
        """All present entries, then None once, then every change as it happens."""
        ...

    async def kv_purge(self, bucket: Bucket) -> None:
        """Empty a bucket."""
        ...

    async def object_put(self, object_store: ObjectStore, name: str, value: bytes) -> None:
        """Store a large value under a name, replacing it whole."""
        ...

    async def object_get(self, object_store: ObjectStore, name: str) -> bytes | None:
        """A large value, verified against its digest, or None."""
        ...

    async def object_delete(self, object_store: ObjectStore, name: str) -> None:
        """Remove a large value. Harmless when there is none."""
        ...

    async def object_names(self, object_store: ObjectStore) -> list[str]:
        """Names in an object store."""
        ...
