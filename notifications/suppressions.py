"""Suppressions: which addresses nothing is written to, by their digests, as events and as a bucket of all of them.

An address that is suppressed or released by itself is one event, which a mail's claim is conditional on: so no moment
is left between looking and sending. An imported list is events of thousands of addresses, which only the bucket can
look up; it counts once the bucket has it, a moment after the import. The bucket has 4,096 shards by the first three
signs of a digest, so that two million addresses are values of 8 kB. No rebuild empties it, as mails would go out then.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import msgspec

from mesh import Bucket, Mesh, Unchanged
from mesh.events.address import AddressSuppressed
from mesh.profiles import newest_of_names

DIGEST = 16
"""Bytes of a digest; as text it has twice as many signs."""
COMPLAINT, HARD, SOFT, MANUAL, IMPORTED = "complaint", "hard-bounce", "soft-bounces", "manual", "imported"
STOPPED, GONE = "stopped", "gone"
WORDS = {
    COMPLAINT: "its owner reported a mail as spam",
    HARD: "a mail came back for good",
    SOFT: "mails came back again and again",
    MANUAL: "put on the list by hand",
    IMPORTED: "on an imported list",
    STOPPED: "its owner answered STOP",
    GONE: "the browser takes no notifications any more",
}


BY_OWNER = (COMPLAINT, STOPPED)
"""What only the owner of an address lifts, or an administrator whom they asked."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """What was last said of an address, when, why and by whom; the later one holds."""

    at: datetime
    suppressed: bool
    reason: str
    by: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard has of one imported list: sorted digests, put together."""

    at: datetime
    by: str
    addresses: bytes

    def __contains__(self, digest: bytes) -> bool:
        """Whether a digest is among them."""
        at = bisect_left(range(len(self.addresses) // DIGEST), digest, key=self.at_place)
        return at * DIGEST < len(self.addresses) and self.at_place(at) == digest

    def all(self) -> Iterator[str]:
        """All of them, as text."""
        return (self.at_place(at).hex() for at in range(len(self.addresses) // DIGEST))

    def at_place(self, place: int) -> bytes:
        """The digest at a place."""
        return self.addresses[place * DIGEST : (place + 1) * DIGEST]


class Shard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is known of the addresses whose digests begin with the same three signs. `lists` are by part."""

    entries: dict[str, Entry] = {}
    lists: dict[str, Listed] = {}

    def of(self, address: str) -> Entry | None:
        """What was last said of an address."""
        digest = bytes.fromhex(address)
        found = [self.entries[address]] if address in self.entries else []
        found += [_entry(listed) for listed in self.lists.values() if digest in listed]
        return max(found, default=None)

    def suppressed(self) -> Iterator[tuple[str, Entry]]:
        """Every address that is suppressed, and why, sorted."""
        found: dict[str, Entry] = {}
        for listed in self.lists.values():
            entry = _entry(listed)
            for address in listed.all():
                found[address] = max(entry, found.get(address, entry))
        for address, entry in self.entries.items():
            found[address] = max(entry, found.get(address, entry))
        return iter([(address, found[address]) for address in sorted(found) if found[address].suppressed])


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the bucket: a shard, or how many addresses 256 shards suppress, by shard and reason."""

    shard: Shard | None = None
    counts: dict[str, dict[str, int]] | None = None


SUPPRESSIONS: Bucket[Kept] = Bucket("suppressions", Kept)
"""Kept by `mail-reports`, for ever. Others read it (`Service(..., views=(SUPPRESSIONS,))`)."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with an address: `entry` is what holds; `condition`: nobody here has said anything since."""

    entry: Entry | None
    condition: Unchanged

    @property
    def reason(self) -> str | None:
        """Why nothing is written to it; None where something may be."""
        return self.entry.reason if self.entry and self.entry.suppressed else None


def words_of(reason: str) -> str:
    """A reason for people; one that is not known here as it was written."""
    return WORDS.get(reason, reason)


def shard_key(address: str) -> str:
    """Where a digest's shard is."""
    return f"shard-{address[:3]}"


def counts_key(address: str) -> str:
    """Where the counts of a digest's shard are."""
    return f"counts-{address[0]}"


COUNTS = tuple(f"counts-{sign:x}" for sign in range(16))


async def standing_of(address: str, mesh: Mesh) -> Standing:
    """What is known in this region of an address (a digest), from all regions. Raises Unavailable."""
    said = await newest_of_names(mesh, AddressSuppressed, (address,))
    kept = await mesh.state(SUPPRESSIONS).get(shard_key(address))
    here = said[mesh.region, address]
    found = [entry_of(one.event, one.event_time) for one in said.values() if one]
    if kept and kept.shard and (stored := kept.shard.of(address)):
        found.append(stored)
    condition = Unchanged(AddressSuppressed, address, here.sequence if here else 0)
    return Standing(entry=max(found, default=None), condition=condition)


def entry_of(event: AddressSuppressed, at: datetime) -> Entry:
    """What an event says."""
    return Entry(at=at, suppressed=event.suppressed, reason=event.reason, by=event.by)


async def read_counts(mesh: Mesh) -> dict[str, int]:
    """How many addresses are suppressed, by reason."""
    total: Counter[str] = Counter()
    for kept, _ in (await mesh.state(SUPPRESSIONS).entries(COUNTS)).values():
        for counted in (kept.counts or {}).values() if kept else ():
            total.update(counted)
    return {reason: count for reason, count in total.most_common() if count}


def _entry(listed: Listed) -> Entry:
    return Entry(at=listed.at, suppressed=True, reason=IMPORTED, by=listed.by)
