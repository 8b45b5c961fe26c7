"""Readiness: a page asks whether this region takes events before it sends some, so that none is sent to two regions."""

import asyncio
from time import monotonic
from typing import Any

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from mesh import Mesh
from mesh.errors import MeshError
from mesh.event import declaration_of
from mesh.events.mesh import MeshHeartbeat
from mesh.subjects import subject
from mesh.web.problems import retry_later

KNOWN_FOR = 0.5
"""Seconds for which an answer holds: many pages ask, JetStream is asked once, also while it is down."""
PATIENCE = 2.0


def readiness(mesh: Mesh) -> HTTPRouteHandler:
    """`GET /v1/updates`: 200 while JetStream answers this process, else 503."""
    turn, asked, ready = asyncio.Lock(), -KNOWN_FOR, False

    @get("/v1/updates", media_type=MediaType.TEXT)
    async def answer_ready() -> Response[Any]:
        nonlocal asked, ready
        async with turn:
            if monotonic() - asked > KNOWN_FOR:
                ready = await _answers(mesh)
                asked = monotonic()
        if not ready:
            return retry_later(503, f"JetStream of {mesh.region} does not answer", seconds=1)
        return Response("ok\n", media_type=MediaType.TEXT, headers={"Cache-Control": "no-store"})

    return answer_ready


async def _answers(mesh: Mesh) -> bool:
    at = subject(mesh.region, declaration_of(MeshHeartbeat), mesh.region)
    try:
        async with asyncio.timeout(PATIENCE):
            await mesh.broker.last(mesh.stream_of(MeshHeartbeat), at)
    except (MeshError, TimeoutError):
        return False
    return True
