"""Asked regions: connections to the regions whose logs a command reads, and why it may show personal data."""

import getpass
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh.mesh import Mesh
    from mesh.topology.access import Access


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which regions a command asks: one, or all of `servers`. With a `reason` it shows personal data."""

    servers: Path | None
    region: str | None
    reason: str | None

    def __post_init__(self) -> None:
        """Refuse to show personal data without a reason."""
        if self.reason is not None and len(self.reason.strip()) < 3:
            raise TopologyError('personal data is shown for a reason only: add --reason "..."')

    async def all(self, stack: AsyncExitStack, question: str) -> "Sequence[Mesh]":
        """Connections to every region asked. Raises Unavailable where one does not answer."""
        from mesh.operations.events import connected  # noqa: PLC0415  other commands need no broker

        meshes = await connected(*self._regions(), stack)
        await self._record(meshes, question)
        return meshes

    async def those_that_answer(self, stack: AsyncExitStack, question: str) -> "tuple[Sequence[Mesh], dict[str, str]]":
        """Connections to the regions that answer, and why the others do not. Raises Unavailable when none does."""
        from mesh.operations.events import answering  # noqa: PLC0415  other commands need no broker

        meshes, silent = await answering(*self._regions(), stack)
        await self._record(meshes, question)
        return meshes, silent

    def _regions(self) -> "tuple[Access, list[str]]":
        from mesh.runtime.discovery import declare_events  # noqa: PLC0415  other commands declare nothing
        from mesh.topology.access import Access  # noqa: PLC0415  the same

        declare_events()
        access = Access.find(self.servers)
        if self.region is not None:
            access.login(self.region)
        return access, [self.region] if self.region else list(access.regions)

    async def _record(self, meshes: "Sequence[Mesh]", question: str) -> None:
        """Written down in each region before personal data is shown."""
        from mesh.operations.events import recorded  # noqa: PLC0415  other commands need no broker

        if self.reason is not None:
            for mesh in meshes:
                await recorded(mesh, getpass.getuser(), self.reason.strip(), question)


def how_long_ago(since: str) -> timedelta:
    """The option `--since` (30m, 2h, 7d)."""
    from mesh.settings import duration  # noqa: PLC0415  other commands need none

    try:
        return duration(since)
    except ValueError as error:
        raise TopologyError(f"--since: {error}") from None
