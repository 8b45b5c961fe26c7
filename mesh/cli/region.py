"""Commands for a region as a whole: `cartmesh mesh drain-region`, `fail-over`, `rebuild-region`."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated

from cyclopts import App, Parameter

FILE = Path("mesh.toml")


def commands(group: App) -> None:
    """Add them to the group `mesh`."""
    group.command(drain_region)
    group.command(fail_over)
    group.command(rebuild_region)


def drain_region(
    region: str,
    *,
    force: Annotated[Sequence[str], Parameter(negative=())] = (),
    within: float = 120.0,
    servers: Path | None = None,
    file: Path = FILE,
) -> None:
    """Before a region is removed: wait until all is handled and copied, and say what lives only there. 1: not yet.

    Stop what takes something in before (gateway, orders, connect, payments, storefront, mail-reports); let the others
    run. It changes nothing and may be repeated.

    Parameters
    ----------
    region
        Which.
    force
        Once for each thing that may be lost with the region, by the name that the refusal says.
    within
        Seconds to wait.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    file
        The topology, still with the region.
    """
    from mesh.broker.connection import Connection  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.operations.drain import Drained, drain  # noqa: PLC0415
    from mesh.runtime.discovery import declare_events  # noqa: PLC0415
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.mesh_toml import Topology  # noqa: PLC0415

    topology = Topology.load(file)
    topology.region(region)
    declare_events()

    async def work() -> Drained:
        connection = await Connection.open(Access.find(servers).login(region), name="cartmesh-drain")
        try:
            return await drain(connection, topology, within=within)
        finally:
            await connection.drain()

    drained = asyncio.run(work())
    for name in drained.bound.keys() & set(force):
        print(f"{region}: left behind: {drained.bound[name]}")
    if refused := drained.refused(force):
        for line in refused:
            print(f"{region}: {line}")
        print(f"{region} must not be removed yet")
        sys.exit(1)
    print(f"{region} is drained: all is handled, and {', '.join(topology.others(region)) or 'nobody'} has its events")


def fail_over(
    region: str,
    *,
    to: str,
    force: Annotated[bool, Parameter(negative=())] = False,
    servers: Path | None = None,
    file: Path = FILE,
) -> None:
    """Before people are led from a lost region to another: what that one has of it, and what it leaves to it.

    It changes nothing. No region sends, sells or redeems what is another's, also while that is lost.

    Parameters
    ----------
    region
        The lost one.
    to
        Where its people are led.
    force
        Also where it is still heard.
    servers
        Where the mesh is, at least the region `to`, as for `drain-region`.
    file
        The topology.
    """
    from mesh.operations.fail_over import StandIn, stand_in  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.runtime.discovery import declare_events  # noqa: PLC0415
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.connect import connect  # noqa: PLC0415
    from mesh.topology.mesh_toml import Topology  # noqa: PLC0415
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415

    topology = Topology.load(file)
    topology.region(region)
    declare_events()

    async def work() -> StandIn:
        mesh = await connect(Access.find(servers), to, OPERATOR, others=topology.others(to), patience=10.0)
        try:
            return await stand_in(mesh, region, force=force)
        finally:
            await mesh.broker.drain()

    found = asyncio.run(work())
    events = ", ".join(f"{count:,} of {domain}" for domain, count in found.events.items()) or "none"
    print(f"{to} heard {region} last at {found.last_heard:%Y-%m-%d %H:%M:%S} UTC; its events there: {events}")
    for left in found.left.values():
        print(f"{to} leaves to {region}: {left}")
    print(f"{to} leaves to {region}: personal data, timers, and all that {region} had not yet passed on")
    print(f"now lead people to {to}; {region} goes on with its own when it is back")


def rebuild_region(
    region: str,
    *,
    force: Annotated[Sequence[str], Parameter(negative=())] = (),
    keep: Annotated[Sequence[str], Parameter(negative=())] = (),
    without: Annotated[Sequence[str], Parameter(negative=())] = (),
    servers: Path | None = None,
    file: Path = FILE,
) -> None:
    """Give an empty region its events back from the copies that other regions hold: its disks and backups are lost.

    Its services must not run. Where there is a backup, `cartmesh restore` does this too, behind what was saved. Killed,
    it goes on where it was when it is given again.

    Parameters
    ----------
    region
        Which. Its servers run, and hold nothing.
    force
        Once for each stream that holds messages all the same, and may be replaced.
    keep
        Once for each thing that is not held back: stock (units can be sold at once), codes (can be redeemed), checkouts
        (wait for events that may never come).
    without
        Once for each other region that is not asked. It may have what no other has, and then receives new events only
        once there are more of them than it has.
    servers
        Where the mesh is, all regions of it, as for `drain-region`.
    file
        The topology.
    """
    from mesh.cli.backup import connected  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.errors import DeclarationError  # noqa: PLC0415
    from mesh.operations import held_back  # noqa: PLC0415
    from mesh.operations.rebuild_region import rebuild_region as rebuild  # noqa: PLC0415
    from mesh.operations.rebuilt_region import RebuiltRegion  # noqa: PLC0415
    from mesh.runtime.discovery import discover  # noqa: PLC0415
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.mesh_toml import Topology  # noqa: PLC0415

    topology, services, began = Topology.load(file), discover(), monotonic()
    for name in (region, *without):
        topology.region(name)
    if unknown := set(keep) - set(held_back.names()):
        raise DeclarationError(f"--keep {unknown.pop()}: it is one of {', '.join(held_back.names())}")

    async def work() -> RebuiltRegion:
        access = Access.find(servers)
        async with AsyncExitStack() as stack:
            connection = await connected(stack, access, region)
            asked = [name for name in topology.others(region) if name not in without]
            others = [await connected(stack, access, name) for name in asked]
            say = partial(print, flush=True)
            return await rebuild(connection, topology, services, others, force=force, keep=keep, report=say)

    done = asyncio.run(work())
    for line in done.told(topology, services):
        print(f"{region}: {line}")
    print(f"{region}: rebuilt in {monotonic() - began:.1f} s. Now: cartmesh mesh apply, and start its services")
