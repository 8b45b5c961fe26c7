"""Opened journey: what the pages of one journey need: what is in force, the draft, and who wrote them."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, NotFoundException

from mesh import Mesh
from mesh.errors import Conflict, DeclarationError, InvalidKey
from mesh.web.roles import MARKETER, PUBLISHER
from notifications.document_api.views import names_of_authors
from notifications.documents.document import AUTHORS, Document, UnknownDocument
from notifications.documents.drafts import DocumentDraft, read_draft
from notifications.documents.publishing import names_of
from notifications.journeys import Journey, parse
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.studio.studio import Studio

PageRequest = Request[Any, Any, Any]
_is_number = re.compile(r"[0-9]{1,18}").fullmatch


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A journey with its draft. `version` is the draft's; a change of the draft must carry it."""

    name: str
    in_force: Document | None
    draft: DocumentDraft | None
    version: int
    authors: Mapping[str, str]

    @property
    def text(self) -> str:
        """The TOML that is edited: the draft's, else what is in force."""
        newest = self.draft or self.in_force
        return newest.files[FILE] if newest else ""

    @property
    def revision(self) -> int | None:
        """The revision in force, which whoever publishes must have seen."""
        return self.in_force.revision if self.in_force else None

    @property
    def is_behind(self) -> bool:
        """Whether another revision is in force than the one that the draft was begun on."""
        return self.draft is not None and self.draft.is_behind(self.in_force)

    def by(self, author: str) -> str:
        """The name of an author."""
        return self.authors.get(author, author)


async def open_journey(studio: Studio, name: str) -> Opened:
    """A journey of a name; 404 where there is neither a revision nor a draft."""
    try:
        in_force = await studio.mesh.state(JOURNEYS.bucket).get(name)
        draft, version = await read_draft(JOURNEYS, name, studio.mesh)
    except InvalidKey as error:
        raise NotFoundException(str(error)) from None
    if in_force is None and draft is None:
        raise NotFoundException(str(JOURNEYS.unknown(name, await names_of(JOURNEYS, studio.mesh))))
    authors = await authors_of(studio, in_force, draft)
    return Opened(name=name, in_force=in_force, draft=draft, version=version, authors=authors)


async def authors_of(studio: Studio, *written: Document | DocumentDraft | None) -> dict[str, str]:
    """The names of those who wrote these, by id."""
    return AUTHORS | dict(await names_of_authors(studio.console.accounts, *written))


def readable(name: str, text: str) -> Journey | None:
    """A text as a journey, where it is one."""
    try:
        return parse(name, text, {})
    except DeclarationError:
        return None


def rights(request: PageRequest) -> dict[str, bool]:
    """What whoever looks may do."""
    return {"may_edit": request.user.may(MARKETER.name), "may_publish": request.user.may(PUBLISHER.name)}


async def numbers_sent(request: PageRequest) -> dict[str, int | None]:
    """The version and the revisions that a form carries; None where one is empty or missing."""
    sent = await request.form()
    names = ("version", "theirs", "revision", "expected")
    return {name: int(text) if _is_number(text := str(sent.get(name, ""))) else None for name in names}


def refused(error: Conflict | DeclarationError) -> HTTPException:
    """What was refused, as a page: it is not there, it is wrong, or somebody was quicker."""
    if isinstance(error, UnknownDocument):
        return HTTPException(str(error), status_code=404)
    return HTTPException(str(error), status_code=409 if isinstance(error, Conflict) else 422)


def subject(name: str) -> str:
    """What the audit calls a journey."""
    return f"{JOURNEYS.name}/{name}"


async def journeys_in_force(mesh: Mesh) -> dict[str, Document]:
    """Every journey that is in force here, by name."""
    return {name: document async for name, document in mesh.state(JOURNEYS.bucket).items()}
