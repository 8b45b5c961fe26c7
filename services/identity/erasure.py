"""Erasure: a person's keys are destroyed in every region, their profile is forgotten, and a proof stays."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from mesh import Event, Mesh, Received
from mesh.errors import InvalidField
from mesh.events.profile import ProfileErased, ProfileErasureRequested, ProfileLinked
from mesh.profiles import customer_digest, names_of, read_profile, visitor_digest
from services.identity.projection import Profiles


class PersonKey(msgspec.Struct, frozen=True, kw_only=True):
    """Who is meant: by one of these. An address or number travels in the request to this service and nowhere else."""

    visitor_id: str | None = None
    customer_id: str | None = None
    email: str | None = None
    phone: str | None = None

    def digest(self) -> str:
        """What the request is known by; it names nobody. InvalidField when nobody is meant."""
        if self.email:
            return names_of(None, self.email)[0]
        if self.phone:
            return names_of(None, None, self.phone)[0]
        if self.customer_id:
            return customer_digest(self.customer_id)
        if self.visitor_id:
            return visitor_digest(self.visitor_id)
        raise InvalidField("$", "one of visitor_id, customer_id, email and phone is needed")


class Separate(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor who was taken for somebody else."""

    visitor_id: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a request is about, as far as this region knows: visitors, and digests of their names."""

    request: str
    visitors: tuple[str, ...]
    names: tuple[str, ...]


async def found(person_key: PersonKey, mesh: Mesh) -> Found:
    """The profile of who is meant. Raises InvalidField, Unavailable."""
    names = names_of(person_key.customer_id, person_key.email, person_key.phone)
    profile = await read_profile(mesh, person_key.visitor_id, names)
    return Found(request=person_key.digest(), visitors=profile.visitors, names=profile.names)


async def request_erasure(person_key: PersonKey, mesh: Mesh) -> Found:
    """Ask every region to erase a person; one that is cut off now receives it later."""
    person = await found(person_key, mesh)
    await mesh.publish(ProfileErasureRequested(request=person.request, visitors=person.visitors, names=person.names))
    return person


async def proofs(request: str, mesh: Mesh, *, since: datetime, within: timedelta) -> dict[str, ProfileErased | None]:
    """What each region has proven of a request since it was made, waiting for all of them; None: nothing yet."""
    clock, regions = asyncio.get_running_loop().time, (mesh.region, *mesh.others)
    deadline = clock() + within.total_seconds()
    while True:
        last = await asyncio.gather(*(mesh.last(ProfileErased, request, region=region) for region in regions))
        proven = {
            region: proof.event if proof and proof.stored >= since else None
            for region, proof in zip(regions, last, strict=True)
        }
        if all(proven.values()) or clock() > deadline:
            return proven
        await asyncio.sleep(0.1)


async def erase_here(received: Received[ProfileErasureRequested], mesh: Mesh) -> list[Event]:
    """Destroy the keys that this region has of a person and forget their records; the proof that it did.

    From then on the visitors go by no name: whoever uses the device next is new. What this region alone knows of the
    profile is erased with it. Safe to repeat: then less is left to destroy.
    """
    asked = received.event
    visitors, names = dict.fromkeys(asked.visitors), dict.fromkeys(asked.names)
    for visitor in asked.visitors or (None,):
        here = await read_profile(mesh, visitor, asked.names)
        visitors.update(dict.fromkeys(here.visitors))
        names.update(dict.fromkeys(here.names))
    whole = ProfileErasureRequested(request=asked.request, visitors=tuple(visitors), names=tuple(names))
    destroyed = [visitor for visitor in visitors if await mesh.personal_data.destroy(visitor)]
    await Profiles(mesh).apply([msgspec.structs.replace(received, event=whole)])
    proof = ProfileErased(
        request=asked.request,
        region=mesh.region,
        visitors=len(visitors),
        keys=len(destroyed),
        records=len(visitors) + len(names),
        visitor_ids=tuple(visitors),
    )
    return [proof, *[unnamed for visitor in visitors if (unnamed := await _unnamed(visitor, mesh))]]


async def _unnamed(visitor: str, mesh: Mesh) -> ProfileLinked | None:
    """That a visitor goes by no name any more, where this region's stream has a name; it repeats none of them."""
    last = await mesh.last(ProfileLinked, visitor)
    return ProfileLinked(visitor_id=visitor, names=()) if last and (last.event.names or last.event.unproven) else None
