"""Command `cartmesh trace`: what led to an event and what followed, and everything about one person."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from mesh.cli.asked_regions import Asked, how_long_ago
from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh.mesh import Mesh
    from mesh.operations.person_story import Person, Subject

LATELY = "1d"


def commands(app: App) -> None:
    """Add it to the root command."""
    app.command(trace)


def trace(
    what: str | None = None,
    *,
    visitor: str | None = None,
    customer: str | None = None,
    cart: str | None = None,
    order: str | None = None,
    region: str | None = None,
    since: str | None = None,
    personal: bool = False,
    reason: str = "",
    json: bool = False,
    servers: Path | None = None,
) -> None:
    """Show what led to an event and what followed from it, or everything about one person, from the logs alone.

    Of a person: the events of all their devices, carts and orders in every region, the timers that wait, and what was
    decided about each offer, why, and what became of it.

    Parameters
    ----------
    what
        An event's id, a trace id or traceparent, or a key such as a cart's id.
    visitor
        Instead: the whole story of whoever uses this device.
    customer
        Or of this customer, by the shop's id.
    cart
        Or of whoever filled this cart.
    order
        Or of whoever placed this order.
    region
        Ask only this region's servers; what it received from the others is shown.
    since
        From how long ago (30m, 2h, 7d). An id is searched for so far back, by default one day; a key is found however
        old it is. A person's events are all shown, or with this only those.
    personal
        Show personal data. Wants a reason; that it was shown is stored as an event of its own.
    reason
        Why personal data is shown.
    json
        Print JSON instead of lines: an object with `trees` of causes, and of a person `person` and `offers`.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.operations.person_story import Subject  # noqa: PLC0415  what a command needs is loaded when it runs

    subject = Subject(visitor=visitor, customer=customer, cart=cart, order=order)
    named = [one for one in (what, visitor, customer, cart, order) if one]
    if len(named) != 1:
        raise TopologyError("say what is looked for: an id or key, or one of --visitor, --customer, --cart and --order")
    asked = Asked(servers=servers, region=region, reason=reason if personal else None)
    back = how_long_ago(since) if since else None

    async def work() -> None:
        async with AsyncExitStack() as stack:
            meshes, silent = await asked.those_that_answer(stack, f"trace {_words(what, subject)}")
            if what:
                await _show_trace(meshes, what, back or how_long_ago(LATELY), personal, silent, json=json)
            else:
                await _show_person(meshes, subject, back, personal, silent, json=json)

    asyncio.run(work())


async def _show_trace(
    meshes: "Sequence[Mesh]", what: str, since: timedelta, personal: bool, silent: dict[str, str], *, json: bool
) -> None:
    from mesh.operations.causal_tree import forest, tree_lines  # noqa: PLC0415  see above
    from mesh.operations.trace import trace_of  # noqa: PLC0415

    found = await trace_of(meshes, what, since=since, personal=personal)
    trees = forest(found.events)
    if not trees:
        raise TopologyError(
            f"nothing is called {what!r}: no key, and no event or trace in the {found.searched:,} messages searched. "
            "Look further back with --since"
        )
    _print({"trees": trees}, tree_lines(trees), silent, cut=found.cut, json=json)


async def _show_person(
    meshes: "Sequence[Mesh]",
    subject: "Subject",
    since: timedelta | None,
    personal: bool,
    silent: dict[str, str],
    *,
    json: bool,
) -> None:
    from mesh.operations.causal_tree import forest, tree_lines  # noqa: PLC0415  see above
    from mesh.operations.offer_outcomes import offer_outcomes, outcome_lines  # noqa: PLC0415
    from mesh.operations.person_story import story_of  # noqa: PLC0415

    oldest = datetime.now(UTC) - since if since else None
    story = await story_of(meshes, subject, since=oldest, personal=personal)
    if not story.events:
        raise TopologyError(f"nothing is known of {_words(None, subject)} in {', '.join(one.region for one in meshes)}")
    trees, offers = forest(story.events), offer_outcomes(story.events)

    def lines() -> Iterator[str]:
        yield from _person_lines(story.person)
        yield from tree_lines(trees)
        yield from outcome_lines(offers)

    _print({"person": story.person, "trees": trees, "offers": offers}, lines(), silent, cut=story.cut, json=json)


def _person_lines(person: "Person") -> Iterator[str]:
    for name in ("visitors", "names", "carts", "orders"):
        yield f"{name:<8}  {', '.join(getattr(person, name)) or 'none'}"


def _print(found: dict[str, object], lines: Iterator[str], silent: dict[str, str], *, cut: bool, json: bool) -> None:
    import msgspec  # noqa: PLC0415  see above

    if json:
        print(msgspec.json.encode({**found, "silent": silent, "cut": cut}).decode())
    else:
        print("\n".join(lines))
    for name, why in silent.items():
        print(f"{name} does not answer, only what others received from it is here: {why}", file=sys.stderr)
    if cut:
        print("the story goes on under more keys than are followed: ask for one of them", file=sys.stderr)


def _words(what: str | None, subject: "Subject") -> str:
    import msgspec  # noqa: PLC0415  see above

    named = msgspec.structs.asdict(subject)
    return what or " ".join(f"{name} {value}" for name, value in named.items() if value)
