"""Routes: the pages on which marketers edit and publish how left carts are answered."""

from typing import Any

from mesh import Mesh
from mesh.web.console import Console
from notifications.journeys.kind import JOURNEYS
from notifications.render_pool import RenderPool
from notifications.studio.journey_pages.drafting import drafting_routes
from notifications.studio.journey_pages.editor import editor_routes
from notifications.studio.journey_pages.history import history_routes
from notifications.studio.journey_pages.journeys_list import list_routes
from notifications.studio.journey_pages.rehearsing import rehearsing_routes
from notifications.studio.journey_pages.reverting import reverting_routes
from notifications.studio.journey_pages.review import review_routes
from notifications.studio.journey_pages.text_view import text_routes
from notifications.studio.second_look import second_look_routes
from notifications.studio.studio import Studio


def routes(console: Console, mesh: Mesh, pool: RenderPool, *, needs_review: bool) -> list[Any]:
    """All below `/journeys`."""
    studio = Studio(console, mesh, "/journeys", needs_review=needs_review)
    parts = (
        list_routes,
        editor_routes,
        drafting_routes,
        text_routes,
        review_routes,
        reverting_routes,
        history_routes,
    )
    own = [route for part in parts for route in part(studio)]
    return [*own, *rehearsing_routes(studio, pool), *second_look_routes(studio, JOURNEYS), studio.files]
