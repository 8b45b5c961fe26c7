"""Filing: suppressed addresses and imported lists are brought into the bucket of all suppressions."""

import asyncio
import random
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from mesh import Mesh, Received
from mesh.errors import Conflict, Unavailable
from mesh.events.address import AddressListImported, AddressSuppressed
from notifications.suppressions import DIGEST, SUPPRESSIONS, Entry, Kept, Listed, Shard, counts_key, entry_of, shard_key

TRIES, AT_ONCE = 20, 48
"""AT_ONCE: shards of one atomic batch, of 8 kB each where two million addresses are suppressed."""


class Added(msgspec.Struct):
    """What is to be brought into one shard."""

    entries: dict[str, Entry] = {}
    lists: dict[str, Listed] = {}


def added(events: Iterable[Received]) -> dict[str, Added]:
    """What events add, by the key of the shard; of one address the newest."""
    found: dict[str, Added] = defaultdict(lambda: Added(entries={}, lists={}))
    for received in events:
        match received.event:
            case AddressSuppressed(address=address) as event:
                entry = entry_of(event, received.event_time)
                known = found[shard_key(address)].entries
                known[address] = max(entry, known.get(address, entry))
            case AddressListImported(part=part, by=by, at=at, addresses=packed):
                for key, digests in _by_shard(b64decode(packed)).items():
                    found[key].lists[part] = Listed(at=at, by=by, addresses=digests)
    return found


def filed(shard: Shard, more: Added) -> Shard:
    """A shard with what is added; the order and repetition of events make no difference.

    An address that is on several lists is kept on the newest, which is the one that counts.
    """
    entries = dict(shard.entries)
    for address, entry in more.entries.items():
        entries[address] = max(entry, entries.get(address, entry))
    return Shard(
        entries={address: entries[address] for address in sorted(entries)},
        lists=_each_once({**shard.lists, **more.lists}),
    )


def _each_once(lists: dict[str, Listed]) -> dict[str, Listed]:
    seen: set[bytes] = set()
    found: dict[str, Listed] = {}
    for part, listed in sorted(lists.items(), key=lambda one: (one[1].at, one[0]), reverse=True):
        packed = listed.addresses
        digests = {packed[at : at + DIGEST] for at in range(0, len(packed), DIGEST)} - seen
        seen |= digests
        if digests:
            found[part] = msgspec.structs.replace(listed, addresses=b"".join(sorted(digests)))
    return dict(sorted(found.items()))


def counts_of(shard: Shard) -> dict[str, int]:
    """How many addresses a shard suppresses, by reason."""
    return dict(sorted(Counter(entry.reason for _, entry in shard.suppressed()).items()))


class Filing:
    """The bucket's one writer, in each process that files."""

    def __init__(self, mesh: Mesh) -> None:
        self._state, self._one_at_a_time = mesh.state(SUPPRESSIONS), asyncio.Lock()

    async def apply(self, events: Iterable[Received]) -> None:
        """Bring events into the bucket, whatever of them is in it already. Raises Unavailable."""
        found = added(events)
        keys = sorted(found)
        async with self._one_at_a_time:
            for at in range(0, len(keys), AT_ONCE):
                await self._apply({key: found[key] for key in keys[at : at + AT_ONCE]})

    async def _apply(self, found: dict[str, Added]) -> None:
        for turn in range(TRIES):
            puts = await self._changed(found)
            try:
                await self._state.put_all(puts)
            except Conflict:
                await asyncio.sleep(random.uniform(0, 0.005 * (turn + 1)))  # noqa: S311  jitter, not a secret
            else:
                return
        raise Unavailable(f"bucket {SUPPRESSIONS.name}: written by others {TRIES} times in a row")

    async def _changed(self, found: dict[str, Added]) -> dict[str, tuple[Kept, int]]:
        """The shards that change, and the counts that follow."""
        puts: dict[str, tuple[Kept, int]] = {}
        counted: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
        # Each is asked of the stream's leader: other servers may know it a moment later.
        entries = await asyncio.gather(*map(self._state.entry, found))
        for (key, more), (kept, revision) in zip(found.items(), entries, strict=True):
            before = kept.shard if kept and kept.shard else Shard()
            after = filed(before, more)
            if after != before:
                sign = key.removeprefix("shard-")
                puts[key] = Kept(shard=after), revision
                counted[counts_key(sign)][sign] = counts_of(after)
        for key, shards in counted.items():
            kept, revision = await self._state.entry(key)
            counts = {**(kept.counts or {} if kept else {}), **shards}
            puts[key] = Kept(counts=counts), revision
        return puts


def _by_shard(packed: bytes) -> dict[str, bytes]:
    found: dict[str, bytearray] = defaultdict(bytearray)
    for at in range(0, len(packed) - DIGEST + 1, DIGEST):
        digest = packed[at : at + DIGEST]
        found[shard_key(digest.hex())] += digest
    return {key: bytes(digests) for key, digests in found.items()}
