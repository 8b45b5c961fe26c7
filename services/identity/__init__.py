"""Knows who a visitor is, on all of their devices: takes what they say of themselves, and keeps their profile."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from mesh import Mesh, Received, Service
from mesh.accept import SERVER, Refused, Sent
from mesh.errors import InvalidField
from mesh.events.customer import (
    ConsentChanged,
    ConsentConfirmed,
    CustomerIdentified,
    CustomerUnsubscribed,
    PushSubscribed,
)
from mesh.events.profile import ProfileErased, ProfileErasureRequested, ProfileLinked, ProfileRefused
from mesh.personal_data import PERSONAL_KEYS
from mesh.profiles import PROFILES, visitor_digest
from mesh.publish import Change, Draft
from services.identity.bots import keep_bot
from services.identity.erasure import Found, PersonKey, Separate, erase_here, found, request_erasure
from services.identity.linking import linked, refused, separated
from services.identity.projection import KINDS, Profiles
from services.identity.rules import check
from services.identity.subscription_rules import check_subscription

if TYPE_CHECKING:
    from mesh.web.console import Console

NUMBER_OF_PAGE = "a telephone number counts with a server key alone: send `email`, or let the shop's server send this"

service = Service(
    "identity",
    publishes=(
        CustomerIdentified,
        ConsentChanged,
        PushSubscribed,
        ProfileLinked,
        ProfileRefused,
        ProfileErasureRequested,
        ProfileErased,
    ),
    buckets=(PROFILES, PERSONAL_KEYS),
    secrets=("address_secret",),
    port=8250,
)


@service.resource
async def open_profiles(mesh: Mesh) -> AsyncIterator[Profiles]:
    """The profile store's writer."""
    yield Profiles(mesh)


@service.accepts(
    CustomerIdentified, publishes=(ProfileLinked,), either=("email", "phone"), check=check, refused=keep_bot
)
async def identify_customer(sent: Sent[CustomerIdentified], mesh: Mesh) -> AsyncIterator[Change]:
    """Who a visitor is is stored, and by which names their profile is known, in one commit.

    An e-mail address, a telephone number, or both are needed. A number is what the shop's server says: messages cost
    money, and a page could name anybody's. Raises InvalidField for one that a page sends alone.
    """
    known = sent.event if sent.by == SERVER else msgspec.structs.replace(sent.event, phone=None)
    if known.email is None and known.phone is None:
        raise InvalidField("$.phone", NUMBER_OF_PAGE)
    yield Draft(event=known, id=sent.id, time=sent.time)
    for change in await linked(sent.event, mesh, time=sent.time, trusted=sent.by == SERVER):
        yield change


async def keep_certain_refusal(refused: Refused[ConsentChanged]) -> AsyncIterator[Change]:
    """Whoever forbids a channel is obeyed, also where the event has no usable id or a clock that is a year ahead."""
    given = {name: value for name, value in refused.fields.items() if name in ("visitor_id", "channel", "purpose")}
    if refused.fields.get("granted") is False and {"visitor_id", "channel", "purpose"} <= given.keys():
        forbidden = ConsentChanged(**given, granted=False, by=refused.by)
        yield Draft(event=forbidden, id=refused.id, time=refused.time)


@service.accepts(PushSubscribed, required=("endpoint", "p256dh", "auth"), check=check_subscription)
async def keep_subscription(sent: Sent[PushSubscribed]) -> AsyncIterator[Change]:
    """That a browser takes notifications is stored, with where they go to."""
    yield sent.draft


@service.accepts(ConsentChanged, refused=keep_certain_refusal)
async def change_consent(sent: Sent[ConsentChanged]) -> AsyncIterator[Change]:
    """A visitor's consent is stored as it was given or taken back."""
    yield sent.draft


@service.on(CustomerIdentified)
async def link_visitor(received: Received[CustomerIdentified], mesh: Mesh) -> AsyncIterator[Change]:
    """A visitor who was identified by somebody else than a storefront is linked as well."""
    for change in await linked(received.event, mesh, time=received.time, trusted=received.event.by == SERVER):
        yield change


@service.on(ConsentChanged, ConsentConfirmed, CustomerUnsubscribed)
async def note_refusal(received: Received, mesh: Mesh) -> AsyncIterator[Change]:
    """What a visitor refuses on one device holds on all of their devices, and for their address, until it is lifted."""
    for change in await refused(received, mesh):
        yield change


@service.on(*KINDS, reach="mesh", batch=256, linger=timedelta(milliseconds=20), projects=PROFILES)
async def keep_profiles(events: list[Received], profiles: Profiles) -> None:
    """Keep the profile store: visitors, their names, carts, refusals, and the regions they were seen in."""
    await profiles.apply(events)


@service.on(ProfileErasureRequested, reach="mesh")
async def erase_person(received: Received[ProfileErasureRequested], mesh: Mesh) -> AsyncIterator[Change]:
    """Destroy a person's keys in this region, whichever region was asked, and prove it."""
    for event in await erase_here(received, mesh):
        yield event


@service.answers
async def find(person_key: PersonKey, mesh: Mesh) -> Found:
    """The visitors and names of whoever has this visitor id, customer id or address."""
    return await found(person_key, mesh)


@service.answers
async def separate(asked: Separate, mesh: Mesh) -> Found:
    """Take a visitor out of the profile that it was merged into; what the profile is then."""
    changes = await separated(asked.visitor_id, mesh)
    if changes:
        await mesh.publish(*changes)
    return Found(request=visitor_digest(asked.visitor_id), visitors=(asked.visitor_id,), names=())


@service.answers
async def erase(person_key: PersonKey, mesh: Mesh) -> Found:
    """Begin the erasure of whoever has this visitor id, customer id or address, in every region."""
    return await request_erasure(person_key, mesh)


@service.page("/people", title="People", role="marketer", section="Shop")
def people_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """Who somebody is on all of their devices, what they allowed, and their erasure."""
    from services.identity.people.pages import people_routes  # noqa: PLC0415  brings Litestar, which others do not need

    return people_routes(console, mesh)
