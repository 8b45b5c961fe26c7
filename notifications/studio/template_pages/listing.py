"""Listing: every template, what it is for, in which languages, who uses it, and who is editing it; and a new one."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.blocks.beginnings import STARTS, start
from notifications.document_api.views import names_of_authors
from notifications.documents.document import Superseded
from notifications.documents.drafts import open_drafts, save_draft
from notifications.documents.kind import Kind, is_name
from notifications.journeys.kind import JOURNEYS, journey_of
from notifications.studio.second_look import asked_by
from notifications.studio.studio import Studio
from notifications.studio.template_pages.edited import purpose, read_edited
from notifications.studio.template_pages.labels import KINDS, language_name, sentence
from notifications.templates.template import template_of

START = "blocks:"
"""What the choice of a mail of blocks to begin with begins with."""
SEED = {"seed": "comes with Cartmesh"}


def listing_routes(studio: Studio, kind: Kind) -> list[HTTPRouteHandler]:
    """The list, and what creates a template as a copy of another."""

    @get("/")
    async def list_templates(
        request: Request[Any, Any, Any], discarded: FromQuery[str] = "", version: FromQuery[int] = 0
    ) -> Response[bytes]:
        return await show(request, discarded=discarded if is_name(discarded) else "", version=version)

    @post("/")
    async def create_template(request: Request[Any, Any, Any]) -> Response[Any]:
        """Begin a draft of a new name, as a copy."""
        person = require(request, MARKETER.name)
        sent = await request.form()
        name, original = str(sent.get("name", "")).strip(), str(sent.get("copy", ""))
        typed = {"name": name, "copy": original}
        begun = original.removeprefix(START) if original.startswith(START) else ""
        if begun not in (*STARTS, ""):
            raise NotFoundException(f"there is no mail to begin with that is called {begun[:20]}")
        files = dict(start(begun)) if begun else (await read_edited(kind, original, studio.mesh)).files
        taken = {
            *await open_drafts(kind, studio.mesh),
            *[one async for one, _ in studio.mesh.state(kind.bucket).items()],
        }
        if name in taken:
            return await show(request, typed=typed, wrong=f"There is a template {name} already.", status=409)
        try:
            version = await save_draft(kind, name, files, person.account.id, studio.mesh)
        except (DeclarationError, Superseded) as error:
            status = 409 if isinstance(error, Superseded) else 422
            return await show(request, typed=typed, wrong=sentence(error), status=status)
        note(request, f"{kind.name}/{name}", draft_version=str(version), copy_of=original)
        return Redirect(f"{studio.path}/{name}?done=created", status_code=303)

    async def show(
        request: Request[Any, Any, Any],
        *,
        typed: Any = None,
        wrong: str = "",
        discarded: str = "",
        version: int = 0,
        status: int = 200,
    ) -> Response[bytes]:
        rows = await _rows(kind, studio.mesh)
        written = [row[which] for row in rows for which in ("in_force", "draft")]
        values = {
            "rows": rows,
            "authors": SEED | dict(await names_of_authors(studio.console.accounts, *written)),
            "may_edit": request.user.may(MARKETER.name),
            "typed": typed or {"name": "", "copy": rows[0]["name"] if rows else ""},
            "asked_by": await asked_by(studio, kind),
            "wrong": wrong,
            "starts": [(f"{START}{which}", words) for which, words in STARTS.items()],
            "discarded": discarded,
            "version": version,
        }
        return studio.show(request, "templates.html.j2", values, status=status)

    return [list_templates, create_template]


async def _rows(kind: Kind, mesh: Mesh) -> list[dict[str, Any]]:
    """Each template by name, with what the list shows of it."""
    in_force = {name: found async for name, found in mesh.state(kind.bucket).items()}
    drafts, used = await open_drafts(kind, mesh), await _journeys_by_template(mesh)
    rows = []
    for name in sorted({*in_force, *drafts}):
        files = (in_force.get(name) or drafts[name]).files
        template = template_of(name, files)
        rows.append(
            {
                "name": name,
                "purpose": KINDS[purpose(template)],
                "languages": [(one, language_name(one)) for one in template.locales],
                "journeys": used.get(name, []),
                "in_force": in_force.get(name),
                "draft": drafts.get(name),
            }
        )
    return rows


async def _journeys_by_template(mesh: Mesh) -> dict[str, list[str]]:
    """Template -> the journeys in force that send it."""
    found: dict[str, list[str]] = {}
    async for name, document in mesh.state(JOURNEYS.bucket).items():
        try:
            for template in journey_of(document).templates:
                found.setdefault(template, []).append(name)
        except DeclarationError:
            continue  # the journeys' own pages say what is wrong
    return found
