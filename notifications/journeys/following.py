"""Following: a process decides with the journeys that are in force, from the moment the bucket has them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh import Mesh
from mesh.errors import DeclarationError, MeshError
from mesh.observability.logs import log
from notifications.journeys.documents import JOURNEYS, JourneyDocument
from notifications.journeys.live import LiveJourney, LiveJourneys

RETRY_AFTER = 2.0
"""Seconds until a watch that broke is begun again. Until then the journeys stay as they are."""


@asynccontextmanager
async def following(mesh: Mesh) -> AsyncIterator[LiveJourneys]:
    """The live journeys, complete at once and kept up to date until the block ends."""
    journeys, ready = LiveJourneys(), asyncio.Event()
    task = asyncio.create_task(_follow(mesh, journeys, ready))
    try:
        await ready.wait()
        yield journeys
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(mesh: Mesh, journeys: LiveJourneys, ready: asyncio.Event) -> None:
    while True:
        try:
            async with mesh.state(JOURNEYS).watch() as changes:
                async for change in changes:
                    if change is None:
                        ready.set()
                    elif change[1] is not None:
                        _take(change[1], journeys)
        except MeshError as error:
            log.warning("cannot follow the journeys; the known ones stay in force", error=str(error))
        await asyncio.sleep(RETRY_AFTER)


def _take(document: JourneyDocument, journeys: LiveJourneys) -> None:
    """Use a revision. One that cannot be read is left out: the journey goes on as it was."""
    try:
        journeys.set(LiveJourney(journey=document.content(), revision=document.revision))
    except DeclarationError as error:
        log.warning("a journey was not taken", journey=document.journey, revision=document.revision, error=str(error))
    else:
        log.info("journey in force", journey=document.journey, revision=document.revision, author=document.author)
