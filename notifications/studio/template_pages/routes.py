"""Routes: all pages below `/templates`."""

from typing import Any

from mesh import Mesh
from mesh.web.console import Console
from notifications.render_pool import RenderPool
from notifications.studio.studio import Studio
from notifications.studio.template_pages.block_routes import block_routes
from notifications.studio.template_pages.discarding import discarding_routes
from notifications.studio.template_pages.editor import Editor
from notifications.studio.template_pages.languages import language_routes
from notifications.studio.template_pages.listing import listing_routes
from notifications.studio.template_pages.preview import preview_routes
from notifications.studio.template_pages.previews import Previews
from notifications.studio.template_pages.publishing import publishing_routes
from notifications.studio.template_pages.saving import saving_routes
from notifications.studio.template_pages.sending import sending_routes
from notifications.templates.kind import templates_rendered_by

PATH = "/templates"


def routes(console: Console, mesh: Mesh, pool: RenderPool) -> list[Any]:
    """The list, the editor with its preview, publishing, the history, and the test mail."""
    studio, kind = Studio(console, mesh, PATH), templates_rendered_by(pool)
    previews = Previews(pool)
    editor = Editor(studio, kind, previews)
    return [
        *listing_routes(studio, kind),
        *saving_routes(editor),
        *discarding_routes(editor),
        *language_routes(editor),
        *block_routes(editor),
        *preview_routes(editor),
        *publishing_routes(editor),
        *sending_routes(editor),
        editor.route(),
        studio.files,
    ]
