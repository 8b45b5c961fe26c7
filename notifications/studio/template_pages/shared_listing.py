"""Shared listing: every shared block, which templates contain it, and which of them have an earlier state of it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER, PUBLISHER
from notifications.blocks.beginnings import SHARED_STARTS, shared_start
from notifications.blocks.sharing import BRAND_NAME
from notifications.blocks.spreading import Spread, contains, is_behind
from notifications.document_api.views import names_of_authors
from notifications.documents.document import Document, Superseded
from notifications.documents.drafts import open_drafts, save_draft
from notifications.documents.kind import Kind, is_name
from notifications.studio.second_look import asked_by
from notifications.studio.studio import Studio
from notifications.studio.template_pages.labels import language_name, sentence
from notifications.templates.template import template_of

Apply = Callable[[Document, str, Mesh], Awaitable[list[Spread]]]
SEED = {"seed": "comes with Cartmesh"}


def shared_listing_routes(studio: Studio, kind: Kind, templates: Kind, apply: Apply) -> list[HTTPRouteHandler]:
    """The list, what creates a shared block, and what brings one into templates that have an earlier state."""
    show = partial(_show, studio, kind, templates)

    @get("/")
    async def list_blocks(
        request: Request[Any, Any, Any], discarded: FromQuery[str] = "", version: FromQuery[int] = 0
    ) -> Response[bytes]:
        return await show(request, discarded=discarded if is_name(discarded) else "", version=version)

    @post("/")
    async def create_block(request: Request[Any, Any, Any]) -> Response[Any]:
        """Begin a draft of a shared block."""
        person, sent = require(request, MARKETER.name), await request.form()
        begun = str(sent.get("copy", ""))
        if begun not in SHARED_STARTS:
            raise NotFoundException(f"there is no shared block that begins as {begun[:20]}")
        name = BRAND_NAME if begun == BRAND_NAME else str(sent.get("name", "")).strip()
        typed = {"name": name, "copy": begun}
        taken = {
            *await open_drafts(kind, studio.mesh),
            *[one async for one, _ in studio.mesh.state(kind.bucket).items()],
        }
        if name in taken or (name == BRAND_NAME and begun != BRAND_NAME):
            return await show(request, typed=typed, wrong=f"There is a shared block {name} already.", status=409)
        try:
            version = await save_draft(kind, name, shared_start(begun), person.account.id, studio.mesh)
        except (DeclarationError, Superseded) as error:
            status = 409 if isinstance(error, Superseded) else 422
            return await show(request, typed=typed, wrong=sentence(error), status=status)
        note(request, f"{kind.name}/{name}", draft_version=str(version))
        return Redirect(f"{studio.path}/{name}?done=created", status_code=303)

    @post("/{name:str}/apply")
    async def apply_block(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Bring the block in force into every template that contains an earlier state of it."""
        person = require(request, PUBLISHER.name)
        block = await studio.mesh.state(kind.bucket).get(name) if is_name(name) else None
        if block is None:
            raise NotFoundException(f"no shared block {name} is in force")
        done = await apply(block, person.account.id, studio.mesh)
        note(request, f"{kind.name}/{name}", templates=", ".join(one.template for one in done if not one.wrong))
        wrong = " ".join(f"{one.template} stays as it is: {one.wrong}." for one in done if one.wrong)
        return await show(request, wrong=wrong, status=422 if wrong else 200)

    return [list_blocks, create_block, apply_block]


async def _show(
    studio: Studio,
    kind: Kind,
    templates: Kind,
    request: Request[Any, Any, Any],
    *,
    typed: Any = None,
    wrong: str = "",
    discarded: str = "",
    version: int = 0,
    status: int = 200,
) -> Response[bytes]:
    rows = await _rows(kind, templates, studio.mesh)
    written = [row[which] for row in rows for which in ("in_force", "draft")]
    named = {row["name"] for row in rows}
    values = {
        "rows": rows,
        "authors": SEED | dict(await names_of_authors(studio.console.accounts, *written)),
        "may_edit": request.user.may(MARKETER.name),
        "may_publish": request.user.may(PUBLISHER.name),
        "starts": [(one, words) for one, words in SHARED_STARTS.items() if one not in named or one != BRAND_NAME],
        "typed": typed or {"name": "", "copy": ""},
        "asked_by": await asked_by(studio, kind),
        "wrong": wrong,
        "discarded": discarded,
        "version": version,
    }
    return studio.show(request, "blocks.html.j2", values, status=status)


async def _rows(kind: Kind, templates: Kind, mesh: Mesh) -> list[dict[str, Any]]:
    """Each shared block by name, with what the list shows of it."""
    in_force = {name: found async for name, found in mesh.state(kind.bucket).items()}
    drafts = await open_drafts(kind, mesh)
    mails = {name: found.files async for name, found in mesh.state(templates.bucket).items()}
    mails |= {name: draft.files for name, draft in (await open_drafts(templates, mesh)).items() if name not in mails}
    rows = []
    for name in sorted({*in_force, *drafts}):
        published = in_force.get(name)
        files = (published or drafts[name]).files
        rows.append(
            {
                "name": name,
                "languages": [(one, language_name(one)) for one in template_of(name, files).locales],
                "templates": sorted(one for one, found in mails.items() if contains(found, name)),
                "behind": sorted(one for one, found in mails.items() if published and is_behind(found, published)),
                "in_force": published,
                "draft": drafts.get(name),
            }
        )
    return rows
