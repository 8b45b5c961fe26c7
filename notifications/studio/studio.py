"""Studio: what the marketers' pages share: their templates, scripts and style sheets, and how one is shown."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from mesh import Mesh
from mesh.web.console import Console
from mesh.web.static_files import MEDIA_TYPES, StaticFiles, static_file

HERE = Path(__file__).parent


class Studio:
    """The pages below one `path`. Their HTML is in the folder `html`; all extend `studio.html.j2`.

    `needs_review`: what is edited on these pages is published only once two people have seen it.
    """

    def __init__(self, console: Console, mesh: Mesh, path: str, *, needs_review: bool = False) -> None:
        self.console, self.mesh, self.path, self.needs_review = console, mesh, path, needs_review
        self._files = StaticFiles(static_files(), mounted=path)
        self._environment = console.templates(HERE / "html")
        self._environment.globals |= {"studio_urls": self._files.urls, "base": path}

    @property
    def files(self) -> HTTPRouteHandler:
        """The route that serves what the pages load."""
        return self._files.route()

    def show(
        self, request: Request[Any, Any, Any], template: str, values: Mapping[str, Any], *, status: int = 200
    ) -> Response[bytes]:
        """A whole page, or a part of one where the template extends nothing."""
        return self.console.page(request, self._environment, template, values, status=status)


@cache
def static_files() -> dict[str, Any]:
    """One style sheet, htmx, Sortable, one script of all modules in the folder `script`, and the code view, by name."""
    static = HERE / "static"
    style = "\n".join(sheet.read_text(encoding="utf-8") for sheet in sorted((static / "style").glob("*.css")))
    vendored = [static / "htmx" / "htmx.min.js", static / "sortable" / "sortable.min.js"]
    scripts = [*vendored, *sorted((static / "script").glob("*.js"))]
    return {
        **_code_view(static / "ace"),
        "studio.css": static_file(style, MEDIA_TYPES[".css"]),
        **{script.name: static_file(script.read_bytes(), MEDIA_TYPES[".js"]) for script in scripts},
    }


def _code_view(folder: Path) -> dict[str, Any]:
    """Ace: its scripts by the names under which it loads them, and one style sheet of its own and its themes."""
    sheets = [folder / "ace.css", *sorted(folder.glob("github*.css"))]
    style = "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    pictures = {
        one.name: static_file(one.read_bytes(), MEDIA_TYPES[".png"], compress=False) for one in folder.glob("*.png")
    }
    scripts = {one.name: static_file(one.read_bytes(), MEDIA_TYPES[".js"]) for one in sorted(folder.glob("*.js"))}
    return {"code_view.css": static_file(style, MEDIA_TYPES[".css"]), **pictures, **scripts}
