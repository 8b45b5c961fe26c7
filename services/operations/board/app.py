"""The board's HTTP interface: the page, its live stream, and the same picture for scripts."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from mesh import Mesh
from mesh.web import http
from services.operations.board.board import Board
from services.operations.board.live import Live
from services.operations.board.page import pages
from services.operations.board.reader import counted

_FRESH = {"Cache-Control": "no-store"}


def build(mesh: Mesh, board: Board, live: Live) -> Litestar:
    """The app."""
    return Litestar([*pages(), _live(board, live), _state(board), *http.health(mesh)], **http.shared(mesh))


def _live(board: Board, live: Live) -> HTTPRouteHandler:
    @get("/live", middleware=[counted(live)])
    async def stream_pictures() -> Response[Any]:
        """Server-sent events: `history` once, then `state` whenever something changed and every second."""
        if live.crowded:
            return http.retry_later(503, "too many look at this board already", seconds=5)
        stream: AsyncIterator[bytes] = live.stream(board.paint_past)
        return Stream(stream, media_type="text/event-stream", headers=_FRESH | {"X-Accel-Buffering": "no"})

    return stream_pictures


def _state(board: Board) -> HTTPRouteHandler:
    @get("/state")
    async def tell_picture() -> Response[bytes]:
        """The picture of this moment."""
        return Response(board.paint(), media_type="application/json", headers=_FRESH)

    return tell_picture
