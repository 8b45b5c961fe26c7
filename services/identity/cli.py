"""Commands that answer a person who asks what is held of them, or wants it erased."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh.mesh import Mesh
    from services.identity.erasure import PersonKey

PATIENCE = timedelta(seconds=30)


def commands(app: App) -> None:
    """Add them to the root command."""
    profile = App(name="profile", help="What is held of a person: show it, erase it.")
    profile.command(export)
    profile.command(separate)
    profile.command(erase)
    profile.command(renew_key_log)
    app.command(profile)


def export(
    *,
    region: str,
    visitor: str | None = None,
    customer: str | None = None,
    address: str | None = None,
    phone: str | None = None,
    servers: Path | None = None,
) -> None:
    """Print everything that a region holds of a person, in streams and buckets, as JSON.

    Parameters
    ----------
    region
        Where; personal data is held in its own region only.
    visitor
        By the id of one of their devices.
    customer
        Or by the id of their account.
    address
        Or by their e-mail address.
    phone
        Or by their telephone number, with its country's code.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    import msgspec  # noqa: PLC0415  what a command needs is loaded when it runs

    from mesh.runtime.discovery import discover  # noqa: PLC0415
    from services.identity.erasure import Found  # noqa: PLC0415
    from services.identity.export import export as everything  # noqa: PLC0415

    person_key = _person_key(visitor, customer, address, phone)

    async def work() -> None:
        async with _operator(servers, region) as mesh:
            person = await mesh.ask("identity", "find", person_key, Found)
            held = await everything(person_key, person, mesh, discover())
            print(msgspec.json.format(msgspec.json.encode(held), indent=2).decode())

    asyncio.run(work())


def separate(visitor: str, *, region: str, servers: Path | None = None) -> None:
    """Take a device out of the profile that it was merged into, as a device that was sold or shared.

    Parameters
    ----------
    visitor
        The device's visitor id.
    region
        Where it belongs.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from services.identity.erasure import Found, Separate  # noqa: PLC0415

    async def work() -> None:
        async with _operator(servers, region) as mesh:
            await mesh.ask("identity", "separate", Separate(visitor_id=visitor), Found)
            print(f"{visitor} is a profile of its own")

    asyncio.run(work())


def erase(
    *,
    region: str,
    visitor: str | None = None,
    customer: str | None = None,
    address: str | None = None,
    phone: str | None = None,
    servers: Path | None = None,
) -> None:
    """Erase a person in every region: destroys the keys of their personal data, forgets their profile.

    Ends with 1 when a region has not confirmed within 30 seconds; it erases as soon as it can be reached.

    Parameters
    ----------
    region
        The region that is asked; it passes the request on to the others.
    visitor
        By the id of one of their devices.
    customer
        Or by the id of their account.
    address
        Or by their e-mail address.
    phone
        Or by their telephone number, with its country's code.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from services.identity.erasure import Found, proofs  # noqa: PLC0415

    person_key = _person_key(visitor, customer, address, phone)

    async def work() -> bool:
        async with _operator(servers, region) as mesh:
            began = datetime.now(UTC) - timedelta(seconds=5)  # clocks of servers differ a little
            person = await mesh.ask("identity", "erase", person_key, Found)
            print(f"{len(person.visitors)} visitors, {len(person.names)} names: every region is asked to erase them")
            proven = await proofs(person.request, mesh, since=began, within=PATIENCE)
        for name, proof in proven.items():
            print(f"{name}: {'not confirmed yet' if proof is None else f'erased, {proof.keys} keys destroyed'}")
        return all(proven.values())

    if not asyncio.run(work()):
        sys.exit(1)


def renew_key_log(*, region: str | None = None, servers: Path | None = None) -> None:
    """Drop the servers' Raft logs of personal keys, in which destroyed keys stay until the servers compact them.

    For some seconds the bucket has one copy in its region: do it while all servers are well, such as once a day.

    Parameters
    ----------
    region
        Only this one; all of them when not given.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.broker.jetstream import JetStreamBroker  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.operations.raft_log import renew_raft_log  # noqa: PLC0415  the same
    from mesh.personal_data import PERSONAL_KEYS  # noqa: PLC0415  the same
    from mesh.topology.access import Access  # noqa: PLC0415  the same

    async def work(name: str) -> None:
        async with _operator(servers, name) as mesh:
            assert isinstance(mesh.broker, JetStreamBroker)  # noqa: S101  what `connect` makes
            renewed = await renew_raft_log(mesh.broker.connection, PERSONAL_KEYS)
            print(f"{name}: {'log renewed' if renewed else 'one copy, so there is no log'}")

    for name in [region] if region else list(Access.find(servers).regions):
        asyncio.run(work(name))


@asynccontextmanager
async def _operator(servers: Path | None, region: str) -> AsyncIterator["Mesh"]:
    """The mesh as a region's operator, until the block ends."""
    from mesh.topology.access import Access  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.topology.connect import connect  # noqa: PLC0415  the same
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415  the same

    access = Access.find(servers)
    others = tuple(name for name in access.regions if name != region)
    mesh = await connect(access, region, OPERATOR, others=others)
    try:
        yield mesh
    finally:
        await mesh.broker.drain()


def _person_key(visitor: str | None, customer: str | None, address: str | None, phone: str | None) -> "PersonKey":
    from services.identity.erasure import PersonKey  # noqa: PLC0415  see above
    from services.identity.rules import number_of  # noqa: PLC0415  see above

    if sum(one is not None for one in (visitor, customer, address, phone)) != 1:
        raise TopologyError("say who is meant by exactly one of --visitor, --customer, --address and --phone")
    number = None if phone is None else number_of(phone)
    if phone is not None and number is None:
        raise TopologyError("--phone is a number with its country's code, such as +4930901820")
    return PersonKey(visitor_id=visitor, customer_id=customer, email=address, phone=number)
