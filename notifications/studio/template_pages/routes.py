"""Routes: all pages below `/templates`, and those below `/blocks`, where shared blocks are edited in the same way."""

from functools import partial
from typing import Any

from mesh import Mesh
from mesh.web.console import Console
from notifications.blocks.spreading import spread
from notifications.documents.document import Document
from notifications.render_pool import RenderPool
from notifications.studio.decision_pages.recent_decisions import RecentDecisions
from notifications.studio.second_look import second_look_routes
from notifications.studio.studio import Studio
from notifications.studio.template_pages.block_routes import block_routes
from notifications.studio.template_pages.discarding import discarding_routes
from notifications.studio.template_pages.editor import Editor
from notifications.studio.template_pages.languages import language_routes
from notifications.studio.template_pages.listing import listing_routes
from notifications.studio.template_pages.person_routes import person_routes
from notifications.studio.template_pages.preview import preview_routes
from notifications.studio.template_pages.previews import Previews
from notifications.studio.template_pages.publishing import publishing_routes
from notifications.studio.template_pages.saving import saving_routes
from notifications.studio.template_pages.sending import sending_routes
from notifications.studio.template_pages.shared_listing import shared_listing_routes
from notifications.templates.kind import SHARED_BLOCKS, rendered_by

PATH, SHARED_PATH = "/templates", "/blocks"


def routes(console: Console, mesh: Mesh, pool: RenderPool, recent: RecentDecisions, *, needs_review: bool) -> list[Any]:
    """The list, the editor with its preview, publishing, the history, and the test mail."""
    studio, kind = Studio(console, mesh, PATH, needs_review=needs_review), rendered_by(pool)
    return [*listing_routes(studio, kind), *_editing(Editor(studio, kind, Previews(pool), recent)), studio.files]


def shared_routes(
    console: Console, mesh: Mesh, pool: RenderPool, recent: RecentDecisions, *, needs_review: bool
) -> list[Any]:
    """The same for shared blocks. Publishing one publishes the templates again that contain it."""
    studio = Studio(console, mesh, SHARED_PATH, needs_review=needs_review)
    kind, templates = rendered_by(pool, SHARED_BLOCKS), rendered_by(pool)

    async def published(document: Document, author: str) -> None:
        await spread(templates, document, author, mesh)

    editor = Editor(studio, kind, Previews(pool), recent, published)
    apply = partial(spread, templates)
    return [*shared_listing_routes(studio, kind, templates, apply), *_editing(editor), studio.files]


def _editing(editor: Editor) -> list[Any]:
    return [
        *saving_routes(editor),
        *discarding_routes(editor),
        *language_routes(editor),
        *block_routes(editor),
        *preview_routes(editor),
        *publishing_routes(editor),
        *second_look_routes(editor.studio, editor.kind),
        *sending_routes(editor),
        *person_routes(editor),
        editor.route(),
    ]
