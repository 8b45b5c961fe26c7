"""Concurrent revisions: what two regions published without knowing of each other, as while their link is cut.

One of them is in force everywhere (`notifications.documents.publishing`). In its own region the other one becomes a
draft, which is compared with what is in force and put on top of it like any draft that somebody was quicker than.
"""

from contextlib import suppress
from datetime import UTC, datetime

from mesh import Mesh, Received
from mesh.errors import Conflict
from mesh.observability.logs import log
from notifications.documents.document import Document
from notifications.documents.drafts import DocumentDraft, add_draft
from notifications.documents.kind import Kind, Published
from notifications.documents.publishing import document_of, put_in_force


async def apply(kind: Kind, received: Received[Published], mesh: Mesh) -> None:
    """Put a published revision in force here, unless a newer one is.

    This region's revision that it replaces unseen becomes a draft. Where one is open already, the revision stays in the
    history alone.
    """
    document = document_of(received)
    present = await mesh.state(kind.bucket).get(document.name)
    if present is not None and _is_unseen(present, document, received.event, mesh.region):
        await _keep_as_draft(kind, present, document, mesh)
    await put_in_force(kind, document, mesh)


def _is_unseen(present: Document, document: Document, event: Published, region: str) -> bool:
    """Whether a revision of `region` is replaced by one whose author did not know it."""
    if present.region != region or document.region == region:
        return False
    if not present.revision or not document.is_newer_than(present):
        return False
    if event.replaces_region is None:  # published by a release that did not say
        return event.revision == present.revision
    return (event.replaces, event.replaces_region) != (present.revision, present.region)


async def _keep_as_draft(kind: Kind, lost: Document, winner: Document, mesh: Mesh) -> None:
    own = await mesh.last(kind.published, lost.name)
    known = own is not None and own.event.revision == lost.revision
    draft = DocumentDraft(
        name=lost.name,
        files=lost.files,
        author=lost.author,
        time=datetime.now(UTC),
        based_on=own.event.replaces if own and known else lost.revision - 1 or None,
        based_on_region=(own.event.replaces_region or "") if own and known else "",
    )
    with suppress(Conflict):  # somebody begins one: it is theirs
        if await add_draft(kind, draft, mesh):
            log.warning(
                "a revision of another region is in force, and this region's is a draft: neither knew of the other",
                document=f"{kind.name}/{lost.name}",
                revision=lost.revision,
                other_region=winner.region,
            )
