"""Settling: whether this region's offers reserve of budgets at all, and so have to hear what becomes of codes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from mesh import Event, Mesh
from mesh.event import declaration_of
from mesh.events.budget import BudgetReservationChanged
from mesh.events.code import CodeChanged
from mesh.publish import Change
from mesh.subjects import every

AGAIN = 60.0
"""Seconds after which it is said again that codes are wanted: another process may have started, and seen no budget."""


class Settling:
    """Wants codes from before the first reservation is stored. `want` has kinds of event delivered, and no others."""

    def __init__(self, mesh: Mesh, want: Callable[[Collection[type[Event]]], Awaitable[None]]) -> None:
        self._mesh, self._want = mesh, want
        self._again_at = 0.0

    async def begin(self) -> None:
        """Want codes where something is or was reserved, and none otherwise. Raises Unavailable."""
        if not await self._ever_reserved():
            await self._want(())
        if await self._ever_reserved():  # also where that happened in between
            await self._want((CodeChanged,))

    async def before(self, changes: Iterable[Change]) -> None:
        """Want codes before changes are stored that reserve something. Raises Unavailable."""
        now = asyncio.get_running_loop().time()
        if now >= self._again_at and any(isinstance(one, BudgetReservationChanged) for one in changes):
            await self._want((CodeChanged,))
            self._again_at = now + AGAIN

    async def _ever_reserved(self) -> bool:
        reservations = every(declaration_of(BudgetReservationChanged), region=self._mesh.region)
        return await self._mesh.broker.last(self._mesh.stream_of(BudgetReservationChanged), reservations) is not None
