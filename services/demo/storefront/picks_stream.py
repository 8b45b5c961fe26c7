"""`GET /picks/{visitor}`, what a visitor may like, sent to their open pages as it changes."""

from collections.abc import AsyncIterator

from litestar import get
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from mesh import settings
from mesh.subjects import token
from mesh.web.application import event_stream_response
from services.demo.storefront.picks import Picks, PickSettings


def stream_picks(picks: Picks) -> HTTPRouteHandler:
    """The route. Whoever knows a visitor's id, which cannot be guessed, may listen."""
    limits = settings.read(PickSettings)

    @get("/picks/{visitor_id:str}")
    async def tell_picks(visitor_id: FromPath[str], lang: FromQuery[str] = "en") -> Stream:
        """Server-sent events `picks`: up to four products, best first, each with its reason."""
        token(visitor_id, "visitor_id")
        if picks.pages.open >= limits.pick_pages or picks.pages_of(visitor_id) >= limits.pick_pages_each:
            raise HTTPException("too many pages are open", status_code=429, headers={"Retry-After": "30"})
        stream: AsyncIterator[bytes] = picks.stream(visitor_id, lang[:2].lower(), heartbeat=limits.pick_heartbeat)
        return event_stream_response(stream)

    return tell_picks
