"""Views: documents, revisions and drafts as the API answers with them, authors by name."""

from collections.abc import Mapping

import msgspec

from mesh import Mesh
from mesh.web.accounts import Accounts
from notifications.document_api.bodies import Author, Draft, Reviewed, Revision, Whole
from notifications.documents.document import Document
from notifications.documents.drafts import DocumentDraft, read_draft
from notifications.documents.kind import Kind
from notifications.documents.publishing import names_of
from notifications.documents.reviews import Review, review_of

IN_FORCE = "in force"
Names = Mapping[str, str]
"""The names of this region's accounts by id. An author of another region is known by the id alone."""


async def names_of_authors(accounts: Accounts, *written: Document | DocumentDraft | None) -> Names:
    """The names of those who wrote these, by id."""
    return await accounts.names(one.author for one in written if one is not None)


async def whole(kind: Kind, name: str, mesh: Mesh, accounts: Accounts) -> Whole:
    """A document with its texts. UnknownDocument where there is neither a revision nor a draft."""
    current = await mesh.state(kind.bucket).get(name)
    saved, version = await read_draft(kind, name, mesh)
    if current is None and saved is None:
        raise kind.unknown(name, await names_of(kind, mesh))
    review = await review_of(kind, name, version, mesh) if saved else None
    names = {
        **await names_of_authors(accounts, current, saved),
        **await accounts.names([review.by] if review else []),
    }
    return Whole(
        name=name,
        in_force=revision(current, names, texts=True) if current else None,
        draft=draft(saved, names, texts=True) if saved else None,
        draft_version=version,
        review=reviewed(review, names) if review else None,
    )


def revision(document: Document, names: Names, state: str = IN_FORCE, *, texts: bool = False) -> Revision:
    """A revision, with its `texts` or without."""
    return Revision(
        name=document.name,
        revision=document.revision,
        author=_author(document.author, names),
        time=document.time,
        region=document.region,
        state=state,
        files=document.files if texts else msgspec.UNSET,
    )


def draft(saved: DocumentDraft, names: Names, *, texts: bool = False) -> Draft:
    """A draft, with its `texts` or without."""
    return Draft(
        name=saved.name,
        author=_author(saved.author, names),
        time=saved.time,
        based_on=saved.based_on,
        files=saved.files if texts else msgspec.UNSET,
    )


def reviewed(review: Review, names: Names) -> Reviewed:
    """What was said of a version of a draft."""
    return Reviewed(
        version=review.version,
        state=review.state,
        by=_author(review.by, names),
        time=review.time,
        comment=review.comment,
    )


def _author(id_: str, names: Names) -> Author:
    return Author(id=id_, name=names.get(id_, id_))
