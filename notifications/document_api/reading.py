"""Reading: lists of documents, one document, its revisions, and what changed between two of them."""

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh import Mesh
from mesh.web.accounts import Accounts
from notifications.document_api.bodies import Difference, Draft, Listed, Revision, Whole
from notifications.document_api.problems import problems
from notifications.document_api.views import draft, names_of_authors, revision, whole
from notifications.documents.document import difference
from notifications.documents.drafts import no_draft, open_drafts, read_draft
from notifications.documents.kind import Kind
from notifications.documents.publishing import find_revision, names_of, no_revision, versions

DRAFT, NONE = "draft", "none"


def reading_routes(kind: Kind, mesh: Mesh, accounts: Accounts) -> list[HTTPRouteHandler]:
    """All that changes nothing."""
    return [*_documents(kind, mesh, accounts), *_revisions(kind, mesh, accounts), _difference(kind, mesh)]


def _documents(kind: Kind, mesh: Mesh, accounts: Accounts) -> list[HTTPRouteHandler]:
    @get("/", summary=f"List the {kind.plural}", responses=problems())
    async def list_documents() -> list[Listed]:
        """Every document of this kind: what is in force, and the draft, without their texts."""
        in_force = {name: found async for name, found in mesh.state(kind.bucket).items()}
        drafts = await open_drafts(kind, mesh)
        names = await names_of_authors(accounts, *in_force.values(), *drafts.values())
        return [
            Listed(
                name=name,
                in_force=revision(in_force[name], names) if name in in_force else None,
                draft=draft(drafts[name], names) if name in drafts else None,
            )
            for name in sorted({*in_force, *drafts})
        ]

    @get("/{name:str}", summary=f"Read a {kind.name}", responses=problems(404))
    async def read_document(name: FromPath[str]) -> Whole:
        """What is in force and the draft, with their texts."""
        return await whole(kind, name, mesh, accounts)

    @get("/{name:str}/draft", summary=f"Read the draft of a {kind.name}", responses=problems(404))
    async def read_saved(name: FromPath[str]) -> Draft:
        """What was saved last, with its texts."""
        saved, _ = await read_draft(kind, name, mesh)
        if saved is None:
            raise no_draft(kind, name)
        return draft(saved, await names_of_authors(accounts, saved), texts=True)

    return [list_documents, read_document, read_saved]


def _revisions(kind: Kind, mesh: Mesh, accounts: Accounts) -> list[HTTPRouteHandler]:
    @get("/{name:str}/revisions", summary=f"List the revisions of a {kind.name}", responses=problems(404))
    async def list_revisions(name: FromPath[str]) -> list[Revision]:
        """Every revision, newest first: who published it, when, and what became of it."""
        found = await versions(kind, name, mesh)
        if not found:
            raise kind.unknown(name, await names_of(kind, mesh))
        names = await names_of_authors(accounts, *(one.document for one in found))
        return [revision(one.document, names, one.state) for one in found]

    @get("/{name:str}/revisions/{number:int}", summary=f"Read a revision of a {kind.name}", responses=problems(404))
    async def read_revision(name: FromPath[str], number: FromPath[int]) -> Revision:
        """One revision with its texts."""
        found = next((one for one in await versions(kind, name, mesh) if one.document.revision == number), None)
        if found is None:
            raise await no_revision(kind, name, number, mesh)
        names = await names_of_authors(accounts, found.document)
        return revision(found.document, names, found.state, texts=True)

    return [list_revisions, read_revision]


def _difference(kind: Kind, mesh: Mesh) -> HTTPRouteHandler:
    @get("/{name:str}/difference", summary=f"Compare two revisions of a {kind.name}", responses=problems(400, 404))
    async def compare(
        name: FromPath[str], before: FromQuery[int | None] = None, after: FromQuery[int | None] = None
    ) -> Difference:
        """What changed from revision `before` to revision `after`; by default from the one in force to the draft.

        With `before` alone, up to the revision in force.
        """
        old, old_files = await _side(kind, name, before, mesh)
        if before is None and after is None:
            saved, _ = await read_draft(kind, name, mesh)
            if saved is None:
                raise no_draft(kind, name)
            new, new_files = DRAFT, saved.files
        else:
            new, new_files = await _side(kind, name, after, mesh)
        return Difference(before=old, after=new, difference=difference(old_files, new_files))

    return compare


async def _side(kind: Kind, name: str, number: int | None, mesh: Mesh) -> tuple[str, dict[str, str]]:
    """A revision's number and texts, by default of the one in force; `none` where nothing is."""
    if number is None:
        current = await mesh.state(kind.bucket).get(name)
        return (str(current.revision), current.files) if current else (NONE, {})
    found = await find_revision(kind, name, number, mesh)
    if found is None:
        raise await no_revision(kind, name, number, mesh)
    return str(number), found.files
