"""Fail over: what a region has of another one that is lost, and what it leaves to it. It changes nothing.

The other region may come back, with events that nobody else has received. So a region never sends, sells or redeems
what is another's: nobody is mailed twice, and nothing is oversold. It takes what shoppers begin from now on.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mesh.errors import MeshError
from mesh.event import declared
from mesh.events.mesh import MeshHeartbeat
from mesh.mesh import Mesh
from mesh.operations.region_bound import region_bound
from mesh.streams import mesh_stream

HEARD_WITHIN = timedelta(seconds=10)
"""A region from which something came so lately is not lost."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What a region has of a lost one: events by domain, when it heard of it last, and what it leaves to it."""

    last_heard: datetime
    events: dict[str, int]
    left: dict[str, str]


async def stand_in(mesh: Mesh, lost: str, *, force: bool = False) -> StandIn:
    """What the region that `mesh` is connected to has of `lost`.

    Raises MeshError where it never received anything of it, or, without `force`, still hears it.
    """
    newest = await mesh.last(MeshHeartbeat, lost, region=lost)
    if newest is None:
        raise MeshError(f"{mesh.region} never received anything of {lost}: it has nothing to go on with")
    age = datetime.now(UTC) - newest.event.at
    if age < HEARD_WITHIN and not force:
        raise MeshError(
            f"{mesh.region} heard {lost} {age.total_seconds():.0f} s ago: it is not lost. To take it out of service, "
            f"cartmesh mesh drain-region {lost}; --force to see what {mesh.region} has of it"
        )
    stream = mesh_stream(mesh.region)
    domains = sorted({one.domain for one in declared() if mesh.layout.travels(one)} - {"mesh", "console"})
    counts = {domain: await mesh.broker.count(stream, f"ev.{lost}.{domain}.>", _EVER) for domain in domains}
    return StandIn(
        last_heard=newest.event.at,
        events={domain: count for domain, count in counts.items() if count},
        left=await region_bound(mesh, lost),
    )
