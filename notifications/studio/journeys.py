"""Journeys: the pages on which marketers edit and publish how left carts are answered."""

from typing import Any

from mesh import Mesh
from mesh.web.console import Console
from notifications.journeys.kind import JOURNEYS
from notifications.studio.documents_list import list_route
from notifications.studio.studio import Studio

LEAD = "A journey answers carts that were left. What is published here holds in every region at once."


def routes(console: Console, mesh: Mesh) -> list[Any]:
    """All below `/journeys`."""
    studio = Studio(console, mesh, "/journeys")
    return [list_route(studio, JOURNEYS, title="Journeys", lead=LEAD), studio.files]
