"""Console: what a page needs to be part of the one console: who looks, the navigation, and the frame around it."""

from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from litestar import Request, Response
from litestar.response import Redirect

from mesh import settings
from mesh.mesh import Mesh
from mesh.page import Page
from mesh.web.accounts import Accounts
from mesh.web.cookies import Cookies, CookieSettings
from mesh.web.guard import Guard
from mesh.web.sessions import Person, Sessions
from mesh.web.static_files import REVALIDATE, StaticFile, StaticFiles, file_response, read_folder, static_file

HERE = Path(__file__).parent
SIGN_IN = "/console/sign-in"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A page in the navigation. `here`: it is the one that is shown."""

    title: str
    path: str
    summary: str
    here: bool


class Console:
    """The console as one service's pages see it: `own` are that service's, `pages` those of all services."""

    def __init__(self, mesh: Mesh, *, own: Sequence[Page], pages: Sequence[Page]) -> None:
        self.region, self._pages = mesh.region, pages
        self.settings = settings.read(CookieSettings)
        self.cookies = Cookies(mesh.region, self.settings)
        self.sessions, self.accounts = Sessions(mesh), Accounts(mesh)
        self.guard = Guard(mesh, self.sessions, self.cookies)
        self.files = StaticFiles(frame_files(), path="/frame", mounted=own[0].path if own else "")

    def navigation(self, person: Person, path: str) -> dict[str, list[Link]]:
        """Section -> the pages that this person may see, by position, then in the order of their declaration."""
        found: dict[str, list[Link]] = {}
        for page in sorted(self._pages, key=lambda one: (one.section, one.position)):
            if page.section and person.may(page.role):
                here = path == page.path or path.startswith(f"{page.path}/")
                link = Link(title=page.title, path=page.path, summary=page.summary, here=here)
                found.setdefault(page.section, []).append(link)
        return found

    def templates(self, folder: Path) -> Environment:
        """A package's templates, which may extend `console/frame.html.j2` and import `console/parts.html.j2`."""
        environment = Environment(
            loader=ChoiceLoader(
                [FileSystemLoader(folder), PrefixLoader({"console": FileSystemLoader(HERE / "templates")})]
            ),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals["frame_urls"] = self.files.urls
        environment.globals["region"] = self.region
        return environment

    def page(
        self,
        request: Request[Any, Any, Any],
        environment: Environment,
        template: str,
        values: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
    ) -> Response[bytes]:
        """A page in the frame. Templates get `person`, `navigation` and `csrf` besides their own values."""
        person: Person | None = request.scope.get("user")
        csrf, cookie = (person.csrf, None) if person else self.cookies.form(request)
        shared = {
            "person": person,
            "navigation": self.navigation(person, request.url.path) if person else {},
            "csrf": csrf,
        }
        text = environment.get_template(template).render({**shared, **(values or {})})
        file = static_file(text, "text/html")
        response = file_response(request.headers, file, REVALIDATE, vary="Cookie", status=status)
        if cookie is not None:
            response.set_cookie(cookie)
        return response

    def refusal(self, request: Request[Any, Any, Any], status: int, title: str, detail: str) -> Response[bytes]:
        """What was refused, as a page for people."""
        if status == HTTPStatus.NOT_FOUND and detail == title:  # no more is known than that
            detail = "there is nothing at this address"
        return self.page(
            request,
            self.templates(HERE / "templates"),
            "refusal.html.j2",
            {"status": status, "heading": title, "detail": detail},
            status=status,
        )

    def to_sign_in(self, request: Request[Any, Any, Any]) -> Redirect:
        """The way to the one sign-in, and back to what was asked for."""
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return Redirect(
            f"{self.settings.url_console.rstrip('/')}{SIGN_IN}?next={quote(asked)}",
            status_code=303,
            headers={"Cache-Control": "no-store"},
        )


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a person looks at the response: a browser that goes to an address, not a script that fetches."""
    mode = request.headers.get("sec-fetch-mode")
    return "text/html" in request.headers.get("accept", "") and mode in (None, "navigate")


def local_path(asked: str | None) -> str:
    """Where to go after signing in: a path of this console, whatever was asked for."""
    parts = urlsplit(asked or "")
    is_local = asked and asked.startswith("/") and not asked.startswith(("//", "/\\")) and asked.isprintable()
    return asked if asked and is_local and not parts.scheme and not parts.netloc and "\\" not in asked else "/console"


@cache
def frame_files() -> dict[str, StaticFile]:
    """The style sheet of all pages, and the icon."""
    return read_folder(HERE / "static")
