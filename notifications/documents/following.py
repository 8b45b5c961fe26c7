"""Following: a process uses the documents that are in force, from the moment the bucket has them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mesh import Mesh
from mesh.errors import DeclarationError, MeshError
from mesh.observability.logs import log
from notifications.documents.document import Document
from notifications.documents.kind import Kind

RETRY_AFTER = 2.0
"""Seconds until a watch that broke is begun again. Until then the documents stay as they are."""


@asynccontextmanager
async def following(kind: Kind, use: Callable[[Document], None], mesh: Mesh) -> AsyncIterator[None]:
    """Call `use` for every document in force before the block begins, then for each that is published, until it ends.

    Where `use` raises DeclarationError that revision is left out, and the one before stays in use.
    """
    ready = asyncio.Event()
    task = asyncio.create_task(_follow(kind, use, mesh, ready))
    try:
        await ready.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(kind: Kind, use: Callable[[Document], None], mesh: Mesh, ready: asyncio.Event) -> None:
    while True:
        try:
            async with mesh.state(kind.bucket).watch() as changes:
                async for change in changes:
                    if change is None:
                        ready.set()
                    elif change[1] is not None:
                        _use(kind, use, change[1])
        except MeshError as error:
            log.warning(f"cannot follow the {kind.plural}; the known ones stay in force", error=str(error))
        await asyncio.sleep(RETRY_AFTER)


def _use(kind: Kind, use: Callable[[Document], None], document: Document) -> None:
    try:
        use(document)
    except DeclarationError as error:
        log.warning(
            f"a {kind.name} cannot be used; its earlier revision stays in use",
            document=document.name,
            revision=document.revision,
            error=str(error),
        )
    else:
        log.info(f"{kind.name} in force", document=document.name, revision=document.revision, author=document.author)
