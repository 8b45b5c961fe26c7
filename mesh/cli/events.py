"""Commands `cartmesh events list | tail | show`: what happened, for people."""

import asyncio
import sys
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from mesh.cli.asked_regions import Asked, how_long_ago
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
    servers: Path | None = None,
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
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.operations.events import Question, listed  # noqa: PLC0415  other commands need no broker

    question = Question(types=types, key=key, since=how_long_ago(since))
    asked = Asked(servers=servers, region=region, reason=reason if personal else None)

    async def work() -> None:
        async with AsyncExitStack() as stack:
            meshes = await asked.all(stack, _words(question))
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
    servers: Path | None = None,
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
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.operations.events import Question, tailed  # noqa: PLC0415  other commands need no broker

    question = Question(types=types, key=key, since=how_long_ago(since) if since else None)
    asked = Asked(servers=servers, region=region, reason=reason if personal else None)

    async def watch(mesh: "Mesh") -> None:
        async with aclosing(tailed(mesh, question, personal=personal)) as events:
            async for one in events:
                _print(one, json=json)

    async def work() -> None:
        async with AsyncExitStack() as stack:
            meshes = await asked.all(stack, _words(question))
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
    servers: Path | None = None,
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
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    import msgspec  # noqa: PLC0415  as below

    from mesh.operations.events import found  # noqa: PLC0415  other commands need no broker

    asked = Asked(servers=servers, region=region, reason=reason if personal else None)

    async def work() -> "Shown | None":
        async with AsyncExitStack() as stack:
            for mesh in await asked.all(stack, f"key {id_}"):
                if one := await found(mesh, id_, since=how_long_ago(since), personal=personal):
                    return one
        return None

    if (one := asyncio.run(work())) is None:
        raise TopologyError(f"no event of the last {since} has the id {id_!r}. Look further back with --since")
    print(msgspec.json.format(msgspec.json.encode(one), indent=2).decode())


def _words(question: "Question") -> str:
    return " ".join([*question.types, *([f"key {question.key}"] if question.key else [])]) or "everything"


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
