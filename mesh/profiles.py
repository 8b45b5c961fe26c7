"""Profiles: all that is known of one person under any of their names, merged from one record per name.

A visitor (`visitor_id`) is one browser or device. A name is a digest of a visitor's id, of a customer id, of an e-mail
address, or of a telephone number. A profile is every visitor that is connected by common names. Records are merged
field by field, the newer of everything, so that neither order nor repetition of events matters (`mesh/decisions/0016`).
"""

import asyncio
import hmac
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import blake2b, sha256
from typing import TypeVar

import msgspec

from mesh.envelope import Received
from mesh.event import Event
from mesh.events.order import PurchaseMarked
from mesh.history import Unchanged
from mesh.mesh import Mesh
from mesh.settings import Secret, read
from mesh.streams import Bucket

MOST_VISITORS = 50
MOST_NAMES = 16
MOST_CARTS = 50
"""A profile is bounded: of more than these the newest are kept."""


class ProfileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`address_secret` keys the digests of addresses and numbers: the same in every region, or they match nothing.

    Whoever computes such digests declares it: `Service(..., secrets=("address_secret",))`.
    """

    address_secret: Secret


class Mark(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """What was last reported of something, and when; of two the later one holds."""

    at: datetime
    id: str
    on: bool


T = TypeVar("T", Mark, date, datetime)
E = TypeVar("E", bound=Event)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known under one name.

    Of a visitor: the digests `names` (as of `named`), `carts` with the day they were last seen here, and `regions`
    elsewhere in which the visitor was seen, and since when it is known to be a `bot`. Of a digest: the `visitors` that
    have it. Of both: who `refused` which channel, and when it was `erased`: what is older was forgotten then.
    """

    names: tuple[str, ...] = ()
    named: Mark | None = None
    visitors: dict[str, Mark] = {}
    carts: dict[str, date] = {}
    regions: dict[str, datetime] = {}
    refused: dict[str, dict[str, Mark]] = {}
    bot: datetime | None = None
    erased: datetime | None = None

    def merged(self, other: "Record") -> "Record":
        """Both, the newer of everything. Commutative, associative and idempotent."""
        erased = max((one for one in (self.erased, other.erased) if one), default=None)
        by_name = max((self, other), key=lambda one: (one.named is not None, one.named, one.names))
        channels = sorted(self.refused.keys() | other.refused.keys())
        both = Record(
            names=by_name.names,
            named=by_name.named,
            visitors=_newest(_later(self.visitors, other.visitors), MOST_VISITORS),
            carts=_newest(_later(self.carts, other.carts), MOST_CARTS),
            regions=_newest(_later(self.regions, other.regions), MOST_NAMES),
            refused={
                channel: _newest(_later(self.refused.get(channel, {}), other.refused.get(channel, {})), MOST_VISITORS)
                for channel in channels
            },
            bot=max((one for one in (self.bot, other.bot) if one), default=None),
            erased=erased,
        )
        return both if erased is None else both._without(erased)

    def _without(self, erased: datetime) -> "Record":
        named = self.named if self.named and self.named.at > erased else None
        return Record(
            names=self.names if named else (),
            named=named,
            visitors={one: mark for one, mark in self.visitors.items() if mark.at > erased},
            carts={cart: day for cart, day in self.carts.items() if day > erased.date()},
            regions={region: at for region, at in self.regions.items() if at > erased},
            refused={
                channel: kept
                for channel, marks in self.refused.items()
                if (kept := {one: mark for one, mark in marks.items() if mark.at > erased})
            },
            bot=self.bot if self.bot and self.bot > erased else None,
            erased=erased,
        )


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One person as far as this region knows.

    `digests` are all names, those of visitors too; `refused`: what each visitor last chose, by `refusal_key`; `bot`:
    whether the visitor that was asked for is one.
    """

    visitors: tuple[str, ...]
    names: tuple[str, ...]
    carts: tuple[str, ...]
    regions: tuple[str, ...]
    refused: dict[str, dict[str, Mark]] = {}
    bot: bool = False

    def refused_channels(self, purpose: str = "marketing", *, besides: str | None = None) -> frozenset[str]:
        """What some device of theirs refused: the strictest counts. Of too many refusals to keep them all: refused.

        `besides` is a visitor whose own word is read elsewhere.
        """
        about = {key.partition("/")[2]: marks for key, marks in self.refused.items() if key.startswith(f"{purpose}/")}
        return frozenset(
            channel
            for channel, marks in about.items()
            if len(marks) >= MOST_VISITORS or any(mark.on for one, mark in marks.items() if one != besides)
        )

    @property
    def digests(self) -> tuple[str, ...]:
        """Every name, under which purchases and contacts are marked."""
        return tuple(dict.fromkeys((*map(visitor_digest, self.visitors), *self.names)))


PROFILES: Bucket[Record] = Bucket("profiles", Record, ttl=timedelta(days=400), rebuilt=True)
"""Kept by the service `identity`; others read it (`Service(..., views=(PROFILES,))`). Kept as long as the events."""


def visitor_digest(visitor_id: str) -> str:
    """The name of a device."""
    return _digest("visitor", visitor_id)


def customer_digest(customer_id: str) -> str:
    """The name of a customer's account."""
    return _digest("customer", customer_id)


def address_digest(email: str, secret: str | None = None) -> str:
    """The name that an e-mail address is: keyed, so that nobody without the secret can try addresses; any case."""
    local, _, domain = email.strip().lower().rpartition("@")
    if not domain.isascii():
        with suppress(UnicodeError):  # what is no domain is compared as it was written
            domain = domain.encode("idna").decode()
    key = (secret or _secret()).encode()
    return hmac.digest(key, f"address\x1f{local}@{domain}".encode(), sha256)[:16].hex()


def phone_digest(phone: str, secret: str | None = None) -> str:
    """The name that a telephone number (E.164) is, keyed as that of an e-mail address."""
    return hmac.digest((secret or _secret()).encode(), f"phone\x1f{phone}".encode(), sha256)[:16].hex()


def push_digest(endpoint: str, secret: str | None = None) -> str:
    """The name that a browser's endpoint for notifications is, keyed as that of an e-mail address."""
    return hmac.digest((secret or _secret()).encode(), f"push\x1f{endpoint}".encode(), sha256)[:16].hex()


def postal_address_digest(street: str, postal_code: str, city: str, country: str, secret: str | None = None) -> str:
    """The name that a postal address is, keyed as that of an e-mail address; any case, dots and spaces left out."""
    parts = ("".join(one for one in part.casefold() if one.isalnum()) for part in (street, postal_code, city, country))
    return hmac.digest((secret or _secret()).encode(), "\x1f".join(("postal", *parts)).encode(), sha256)[:16].hex()


def names_of(customer_id: str | None, email: str | None = None, phone: str | None = None) -> tuple[str, ...]:
    """The names that a visitor has by a customer id, an address and a telephone number, where they are known."""
    customer = (customer_digest(customer_id),) if customer_id else ()
    address = (address_digest(email),) if email else ()
    return (*customer, *address, *((phone_digest(phone),) if phone else ()))


def digests_of(visitor_id: str | None, customer_id: str | None = None, names: Iterable[str] = ()) -> tuple[str, ...]:
    """All names of a shopper: the device and the customer, where known, and those known besides."""
    device = (visitor_digest(visitor_id),) if visitor_id else ()
    return tuple(dict.fromkeys((*device, *names_of(customer_id), *names)))


def visitor_key(visitor_id: str) -> str:
    """Where a visitor's record is; long ids are hashed, as a bucket's keys have at most 128 characters."""
    return f"v-{visitor_id if len(visitor_id) <= 100 else visitor_digest(visitor_id)}"


def name_key(digest: str) -> str:
    """Where the record of a customer's or an address's digest is."""
    return f"n-{digest}"


def refusal_key(channel: str, purpose: str) -> str:
    """What a refusal is about."""
    return f"{purpose}/{channel}"


async def read_profile(mesh: Mesh, visitor_id: str | None = None, names: Iterable[str] = ()) -> Profile:
    """Whose this visitor is, and all who share a name with them. `names` are those known besides the records'.

    It may be some milliseconds old, and knows of other regions what has arrived. Raises Unavailable.
    """
    state = mesh.state(PROFILES)
    visitors, known = dict.fromkeys([visitor_id] if visitor_id else []), dict.fromkeys(names)
    found: dict[str, Record] = {}
    while True:
        keys = [visitor_key(one) for one in list(visitors)[:MOST_VISITORS]]
        keys += [name_key(one) for one in list(known)[:MOST_NAMES]]
        fresh = [key for key in keys if key not in found]
        if not fresh:
            break
        for key, record in zip(fresh, await asyncio.gather(*map(state.get, fresh)), strict=True):
            found[key] = record or Record()
            known.update(dict.fromkeys(found[key].names))
            visitors.update(dict.fromkeys(one for one, mark in found[key].visitors.items() if mark.on))
    records = tuple(found.values())
    whole = Record()
    for record in records:
        whole = whole.merged(Record(refused=record.refused))
    return Profile(
        visitors=tuple(visitors)[:MOST_VISITORS],
        names=tuple(known)[:MOST_NAMES],
        carts=tuple(dict.fromkeys(cart for record in records for cart in record.carts)),
        regions=tuple(sorted({region for record in records for region in record.regions})),
        refused=whole.refused,
        bot=visitor_id is not None and found[visitor_key(visitor_id)].bot is not None,
    )


Purchases = dict[tuple[str, str], Received[PurchaseMarked] | None]
"""The newest purchase under a name, by region and digest."""


async def newest_of_names(
    mesh: Mesh, kind: type[E], digests: Iterable[str]
) -> dict[tuple[str, str], Received[E] | None]:
    """The newest event of a kind by region and name, of other regions what has arrived. Raises Unavailable.

    That of this region may miss what came a moment ago: what depends on it is stored on condition that it is unchanged.
    """
    names, regions = tuple(digests), (mesh.region, *mesh.others)
    found = await asyncio.gather(*(mesh.last_of_each(kind, names, region=region) for region in regions))
    return {(region, name): newest.get(name) for region, newest in zip(regions, found, strict=True) for name in names}


async def purchases_of(mesh: Mesh, digests: Iterable[str]) -> Purchases:
    """What was last bought, by region and name; see `newest_of_names` and `nothing_bought_since`."""
    return await newest_of_names(mesh, PurchaseMarked, digests)


def nothing_bought_since(purchases: Purchases, region: str) -> list[Unchanged]:
    """The condition that in this region nobody has bought under these names since they were read."""
    return [
        Unchanged(PurchaseMarked, digest, marked.sequence if marked else 0)
        for (where, digest), marked in purchases.items()
        if where == region
    ]


def _later(one: dict[str, T], other: dict[str, T]) -> dict[str, T]:
    both = one | other
    for key in one.keys() & other.keys():
        both[key] = max(one[key], other[key])
    return both


def _newest(many: dict[str, T], most: int) -> dict[str, T]:
    """The newest of too many; sorted by key, so that equal records are equal bytes."""
    kept: Collection[str] = many
    if len(many) > most:
        kept = sorted(many, key=lambda key: (many[key], key))[-most:]
    return {key: many[key] for key in sorted(kept)}


def _digest(kind: str, value: str) -> str:
    return blake2b(f"{kind}\x1f{value}".encode(), digest_size=16).hexdigest()


@cache
def _secret() -> str:
    return read(ProfileSettings).address_secret
