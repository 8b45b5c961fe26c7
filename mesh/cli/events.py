"""Commands `cartmesh events list | tail | show`: what happened, for people."""

import asyncio
import getpass
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from mesh.cli.operations import SERVERS
from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh.mesh import Mesh
    from mesh.operations.events import Question, Shown


def commands(app: App) -> None:
    """Add the group `events`."""
    group = App(name="events", help="What happened: list events, watch them, show one whole.")
    group.command(list_events, name="list")
    group.command(tail)
    group.command(show)
    app.command(group)


def list_events(
    *types: str,
    key: str | None = None,
    region: str | None = None,
    since: str = "1h",
    most: int = 50,
    personal: bool = False,
    reason: str = "",
    json: bool = False,
    servers: Path = SERVERS,
) -> None:
    """List the last events, oldest first.

    Parameters
    ----------
    types
        Only these, with or without version; `*` stands for anything: cart.abandoned, "offer.*".
    key
        Only of this cart, visitor, order...
    region
        Only what happened in this region.
    since
        From how long ago (30m, 2h, 7d).
    most
        How many at most.
    personal
        Show personal data. Wants a reason; that it was shown is stored as an event of its own.
    reason
        Why personal data is shown.
    json
        Print JSON, one event a line.
    servers
        The servers.json of the mesh.
    """
    from mesh.operations.events import Question, listed  # noqa: PLC0415  other commands need no broker

    question = Question(types=types, key=key, since=_back(since))

    async def work() -> None:
        async with AsyncExitStack() as stack:
            meshes = await _opened(stack, servers, region, question, reason if personal else None)
            found = await asyncio.gather(*(listed(mesh, question, most=most, personal=personal) for mesh in meshes))
            for one in sorted((one for part in found for one in part), key=lambda one: one.stored)[-most:]:
                _print(one, json=json)

    asyncio.run(work())


def tail(
    *types: str,
    key: str | None = None,
    region: str | None = None,
    since: str | None = None,
    personal: bool = False,
    reason: str = "",
    json: bool = False,
    servers: Path = SERVERS,
) -> None:
    """Show events as they happen, until ctrl-c.

    Parameters
    ----------
    types
        As for `list`.
    key
        Only of this cart, visitor, order...
    region
        Only what happens in this region.
    since
        Begin with those from how long ago (30m, 2h, 7d); without it, with the next one.
    personal
        Show personal data. Wants a reason; that it was shown is stored as an event of its own.
    reason
        Why personal data is shown.
    json
        Print JSON, one event a line.
    servers
        The servers.json of the mesh.
    """
    from mesh.operations.events import Question, tailed  # noqa: PLC0415  other commands need no broker

    question = Question(types=types, key=key, since=_back(since) if since else None)

    async def watch(mesh: "Mesh") -> None:
        async with aclosing(tailed(mesh, question, personal=personal)) as events:
            async for one in events:
                _print(one, json=json)

    async def work() -> None:
        async with AsyncExitStack() as stack:
            meshes = await _opened(stack, servers, region, question, reason if personal else None)
            await asyncio.gather(*(watch(mesh) for mesh in meshes))

    with suppress(KeyboardInterrupt):
        asyncio.run(work())


def show(
    id_: str,
    *,
    region: str | None = None,
    since: str = "7d",
    personal: bool = False,
    reason: str = "",
    servers: Path = SERVERS,
) -> None:
    """Show one event whole, as JSON.

    Parameters
    ----------
    id_
        Its id, as `list` and `trace` show it.
    region
        Look only there.
    since
        How far back it is looked for (30m, 2h, 7d).
    personal
        Show personal data. Wants a reason; that it was shown is stored as an event of its own.
    reason
        Why personal data is shown.
    servers
        The servers.json of the mesh.
    """
    import msgspec  # noqa: PLC0415  as below

    from mesh.operations.events import Question, found  # noqa: PLC0415  other commands need no broker

    async def work() -> "Shown | None":
        async with AsyncExitStack() as stack:
            question = Question(key=id_)
            for mesh in await _opened(stack, servers, region, question, reason if personal else None):
                if one := await found(mesh, id_, since=_back(since), personal=personal):
                    return one
        return None

    if (one := asyncio.run(work())) is None:
        raise TopologyError(f"no event of the last {since} has the id {id_!r}. Look further back with --since")
    print(msgspec.json.format(msgspec.json.encode(one), indent=2).decode())


async def _opened(
    stack: AsyncExitStack, servers: Path, region: str | None, question: "Question", reason: str | None
) -> "Sequence[Mesh]":
    """Connections to the regions; with a reason it is written down first that personal data is shown."""
    from mesh.operations.events import connected, recorded  # noqa: PLC0415  other commands need no broker
    from mesh.runtime.discovery import declare_events  # noqa: PLC0415  the same
    from mesh.topology.access import Access  # noqa: PLC0415  the same

    check_reason(reason)
    declare_events()
    access = Access.read(servers)
    if region is not None:
        access.login(region)
    meshes = await connected(access, [region] if region else list(access.regions), stack)
    asked = " ".join([*question.types, *([f"key {question.key}"] if question.key else [])]) or "everything"
    for mesh in meshes if reason is not None else ():
        await recorded(mesh, getpass.getuser(), (reason or "").strip(), asked)
    return meshes


def check_reason(reason: str | None) -> None:
    """Refuse to show personal data without a reason; None: none is to be shown."""
    if reason is not None and len(reason.strip()) < 3:
        raise TopologyError('personal data is shown for a reason only: add --reason "..."')


def _back(text: str) -> timedelta:
    from mesh.settings import duration  # noqa: PLC0415  other commands need none

    try:
        return duration(text)
    except ValueError as error:
        raise TopologyError(f"--since: {error}") from None


def _print(one: "Shown", *, json: bool) -> None:
    import msgspec  # noqa: PLC0415  other commands print nothing of it

    if json:
        line = msgspec.json.encode(one).decode()
    else:
        data = msgspec.json.encode(one.data).decode()
        line = (
            f"{one.stored:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"  {one.region:<4} {one.type:<28} {one.key}  {data}  {one.id}"
        )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
