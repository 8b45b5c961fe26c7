"""Erased visitors: whose steps are learnt from no more, and until when.

Their steps stay in the streams under a random id, as the shop's records. A device that goes on after its person was
erased is somebody new: what it does from then on counts.
"""

from datetime import datetime

from mesh import Mesh
from mesh.events.profile import ProfileErased


class Erased:
    """Visitors with the moment until which they are forgotten, in any order of arrival."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def learn(self, erased: ProfileErased, at: datetime) -> None:
        """Take in a region's proof of an erasure; `at` is when it was stored."""
        for visitor in erased.visitor_ids:
            self._until[visitor] = max(self._until.get(visitor, 0.0), at.timestamp())

    def covers(self, visitor: str, at: float) -> bool:
        """Whether what a visitor did at that time, in seconds since 1970 UTC, is to be forgotten."""
        return at <= self._until.get(visitor, 0.0)

    async def read(self, mesh: Mesh) -> None:
        """Take in every erasure in a region's streams."""
        async for received in mesh.read(ProfileErased):
            self.learn(received.event, received.stored)


async def read_erased(mesh: Mesh) -> Erased:
    """The visitors whom a region has ever erased, as far back as its lake or else its streams reach."""
    from mesh.lake.reading import read_history  # noqa: PLC0415  brings polars, which scoring does not need

    erased = Erased()
    async for received in read_history(mesh, ProfileErased):
        erased.learn(received.event, received.stored)
    return erased
