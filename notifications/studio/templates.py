"""Templates: the pages on which marketers edit and publish what shoppers are sent."""

from typing import Any

from mesh import Mesh
from mesh.web.console import Console
from notifications.studio.documents_list import list_route
from notifications.studio.studio import Studio
from notifications.templates.kind import TEMPLATES

LEAD = "A template is a mail and a card in every language of the shop. What is published here is sent from then on."


def routes(console: Console, mesh: Mesh) -> list[Any]:
    """All below `/templates`."""
    studio = Studio(console, mesh, "/templates")
    return [list_route(studio, TEMPLATES, title="Templates", lead=LEAD), studio.files]
