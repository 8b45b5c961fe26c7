"""The board's HTTP interface: the page, its live stream, and the same state for scripts."""

from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from mesh.web.application import event_stream_response
from mesh.web.console import Console
from mesh.web.problems import retry_later
from services.operations.board.board import Board
from services.operations.board.live import Live
from services.operations.board.page import pages


def routes(console: Console, board: Board, live: Live) -> list[HTTPRouteHandler]:
    """All of them, below `/board`."""
    return [*pages(console), _live(board, live), _state(board)]


def _live(board: Board, live: Live) -> HTTPRouteHandler:
    @get("/live", middleware=[live.readers.middleware()])
    async def stream_states() -> Response[Any]:
        """Server-sent events: `history` once, then `state` whenever something changed and every second."""
        if live.readers.too_many:
            return retry_later(503, "too many look at this board already", seconds=5)
        return event_stream_response(live.stream(board.past_as_json))

    return stream_states


def _state(board: Board) -> HTTPRouteHandler:
    @get("/state")
    async def report_state() -> Response[bytes]:
        """The state of this moment."""
        return Response(board.state_as_json(), media_type="application/json", headers={"Cache-Control": "no-store"})

    return report_state
