"""Commands for whoever decides about parked checkouts."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from cyclopts import App

if TYPE_CHECKING:
    import msgspec

T = TypeVar("T")


def commands(app: App) -> None:
    """Add them to the root command."""
    orders = App(name="orders", help="Orders whose checkout cannot go on by itself.")
    orders.command(parked)
    orders.command(resume)
    app.command(orders)


def parked(*, region: str, servers: Path | None = None) -> None:
    """Print the parked checkouts of a region: order, step, since when, how many events wait behind it, and why.

    Parameters
    ----------
    region
        Where.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.events.checkout import Parked, ParkedCheckouts  # noqa: PLC0415  loaded when the command runs

    found = asyncio.run(_asked(servers, region, "parked", Parked(), ParkedCheckouts))
    for one in found.checkouts:
        print(f"{one.order_id}  {one.step}  {one.since:%Y-%m-%d %H:%M:%S}Z  {one.waiting} waiting  {one.reason}")
    if not found.checkouts:
        print(f"{region}: no checkout is parked")


def resume(
    order: str,
    *,
    region: str,
    decision: Literal["again", "undo", "accept"] = "again",
    reason: str = "",
    servers: Path | None = None,
) -> None:
    """Go on with a parked checkout. Ends with 1 where that is not possible.

    Parameters
    ----------
    order
        The order's id.
    region
        Where it was ordered.
    decision
        `again` requests the step once more, `undo` gives everything back and cancels the order, `accept` takes the
        step as done, such as the check of an order that looked like fraud.
    reason
        Why; it is stored with the decision.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.events.checkout import Resume, Resumed  # noqa: PLC0415  loaded when the command runs
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415  the same

    question = Resume(order_id=order, decision=decision, reason=reason, author=OPERATOR)
    answer = asyncio.run(_asked(servers, region, "resume", question, Resumed))
    if answer.refused:
        print(answer.refused, file=sys.stderr)
        sys.exit(1)
    print(f"{order}: {decision}")


async def _asked(servers: Path | None, region: str, question: str, body: "msgspec.Struct", answer: type[T]) -> T:
    """The answer of the region's checkout service, asked as the region's operator."""
    from mesh.topology.access import Access  # noqa: PLC0415  loaded when the command runs
    from mesh.topology.connect import connect  # noqa: PLC0415  the same
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415  the same

    mesh = await connect(Access.find(servers), region, OPERATOR)
    try:
        return await mesh.ask("checkout", question, body, answer)
    finally:
        await mesh.broker.drain()
