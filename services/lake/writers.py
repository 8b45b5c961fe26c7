"""Writers: one for each stream of the region, all at work until the block ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh import Mesh
from mesh.lake.settings import LakeSettings
from mesh.lake.table import lake_tables
from mesh.settings import read
from services.lake.status import LakeStatus
from services.lake.writer import StreamWriter, WriterSettings


@asynccontextmanager
async def writing(mesh: Mesh) -> AsyncIterator[LakeStatus]:
    """The region's lake, being written; where none is named, nothing is."""
    lake, settings = read(LakeSettings), read(WriterSettings)
    writers = [StreamWriter(mesh, table, settings) for table in lake_tables(mesh, lake)]
    tasks = [asyncio.create_task(writer.run(), name=f"lake {writer.table.stream}") for writer in writers]
    try:
        yield LakeStatus(mesh.region, lake.lake, writers)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
