"""Status: what is in a region's lake, and how its writers are, for the page."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from services.lake.writer import StreamWriter


class TypeRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds of one type of event: `newest` is the latest time at which one happened."""

    type: str
    rows: int
    bytes: int
    files: int
    newest: datetime | None


class TableStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `behind` counts events that its stream holds and it does not, as far as the writer has read.

    `committed` is when this process committed last, `error` why it takes nothing just now.
    """

    name: str
    stream: str
    address: str
    place: int
    version: int | None
    types: tuple[TypeRows, ...]
    behind: int
    oldest_waiting: datetime | None
    caught_up: bool
    committed: datetime | None
    error: str

    @property
    def rows(self) -> int:
        """All its rows."""
        return sum(one.rows for one in self.types)

    @property
    def bytes(self) -> int:
        """The size of its newest version's files."""
        return sum(one.bytes for one in self.types)

    @property
    def newest(self) -> datetime | None:
        """The latest time at which something in it happened."""
        return max((one.newest for one in self.types if one.newest), default=None)


class LakeStatus:
    """The lake of a region: where it is (nowhere: `address` is empty), and its tables."""

    def __init__(self, region: str, address: str, writers: "list[StreamWriter]") -> None:
        self.region, self.address, self._writers = region, address, writers

    async def tables(self) -> list[TableStatus]:
        """Every table as it is now."""
        return list(await asyncio.gather(*(self._table(writer) for writer in self._writers)))

    async def _table(self, writer: "StreamWriter") -> TableStatus:
        from mesh.lake.table import LakeUnavailable  # noqa: PLC0415  brings polars, which is there where writers are

        table, error = writer.table, writer.error
        try:
            contents = await asyncio.to_thread(table.contents)
        except LakeUnavailable as unreadable:
            contents, error = None, error or str(unreadable)
        return TableStatus(
            name=table.name,
            stream=table.stream,
            address=table.address,
            place=contents.place if contents else 0,
            version=contents.version if contents else None,
            types=tuple(TypeRows(**one) for one in contents.types) if contents else (),
            behind=len(writer.waiting),
            oldest_waiting=writer.waiting[0].stored if writer.waiting else None,
            caught_up=writer.caught_up,
            committed=writer.committed,
            error=error,
        )
