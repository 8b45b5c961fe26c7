"""Short-link page: leads on to where a short link of a message leads. It changes nothing."""

import re
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.errors import Unavailable
from notifications.link_pages import COMMON, LinkPages
from notifications.pages import HEADERS
from notifications.short_links import SHORT_LINKS

PAGES = LinkPages({language: {} for language in COMMON})
is_code = re.compile(r"[A-Za-z0-9_-]{12}", re.ASCII).fullmatch


def leading_on(mesh: Mesh) -> list[HTTPRouteHandler]:
    """GET leads on; nothing else."""

    @get("/s/{code:str}", media_type="text/html")
    async def lead_on(code: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
        """Answers with a redirect to the shop, or the page that the link stands for."""
        if not is_code(code):
            return PAGES.refuse(request)
        try:
            found = await mesh.state(SHORT_LINKS).get(code)
        except Unavailable:
            return PAGES.unavailable(request)
        if found is None:
            return PAGES.refuse(request)
        headers = {**HEADERS, "Location": found.url, "Cache-Control": "no-store"}
        return Response("", status_code=302, headers=headers, media_type="text/html")

    return [lead_on]
