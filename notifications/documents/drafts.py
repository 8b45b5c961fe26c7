"""Drafts: a document while it is edited, saved at every change, and in force only once it is published.

A draft is in the bucket of its region alone; what is published reaches all regions.
"""

from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from mesh import Bucket, Mesh
from mesh.errors import Conflict
from notifications.documents.document import Document, Superseded, UnknownDocument
from notifications.documents.kind import Files, Kind
from notifications.documents.publishing import Expected, expect, store
from notifications.documents.reviews import check_reviewed


class DocumentDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What was saved last, by whom and when (aware UTC).

    `based_on` is the revision in force when the draft was begun (None: there was none), as `based_on_region` published
    it (empty in older ones). It is not `open` any more once it was published or discarded. `changed_by` is who changed
    its texts last (empty, in older ones: the author).
    """

    name: str
    files: dict[str, str]
    author: str
    time: datetime
    based_on: int | None
    open: bool = True
    changed_by: str = ""
    based_on_region: str = ""

    @property
    def changer(self) -> str:
        """Who changed its texts last; who restored it, or put it on top of another revision, did not."""
        return self.changed_by or self.author

    def is_behind(self, in_force: Document | None) -> bool:
        """Whether another revision is in force than the one that it was begun on."""
        if in_force is None or self.based_on is None:
            return in_force is not None or self.based_on is not None
        if self.based_on != in_force.revision:
            return True
        return bool(self.based_on and self.based_on_region and self.based_on_region != in_force.region)


DRAFTS = Bucket("drafts", DocumentDraft, history=64)


async def read_draft(kind: Kind, name: str, mesh: Mesh) -> tuple[DocumentDraft | None, int]:
    """The open draft, or None, and the version that `save_draft` takes."""
    draft, version = await mesh.state(DRAFTS).entry(_key(kind, name))
    return (draft if draft and draft.open else None), version


async def open_drafts(kind: Kind, mesh: Mesh) -> dict[str, DocumentDraft]:
    """Every open draft of a kind by its document's name."""
    prefix = _key(kind, "")
    return {
        draft.name: draft async for key, draft in mesh.state(DRAFTS).items() if key.startswith(prefix) and draft.open
    }


async def save_draft(
    kind: Kind,
    name: str,
    files: Files,
    author: str,
    mesh: Mesh,
    *,
    version: int | None = None,
    begin: bool = False,
    follows: bool = False,
) -> int:
    """Save a draft and return its version. `begin` bases it on the revision in force, as every first save does.

    With `follows` what changes comes of what was published: whoever changed the draft last stays the one who did.

    Raises DeclarationError for a document that is wrong, and Superseded where it is not at `version` any more.
    """
    await kind.validate(name, files, mesh)
    draft, stored = await read_draft(kind, name, mesh)
    if version is not None and version != stored:
        raise _saved_by(draft, kind, name)
    in_force = await mesh.state(kind.bucket).get(name)
    base = (in_force.revision, in_force.region) if in_force else (None, "")
    based_on, region = (draft.based_on, draft.based_on_region) if draft and not begin else base
    saved = DocumentDraft(
        name=name,
        files=dict(files),
        author=author,
        time=datetime.now(UTC),
        based_on=based_on,
        changed_by=draft.changer if draft and follows else author,
        based_on_region=region,
    )
    try:
        return await mesh.state(DRAFTS).put(_key(kind, name), saved, revision=stored)
    except Conflict:
        draft, _ = await read_draft(kind, name, mesh)
        raise _saved_by(draft, kind, name) from None


async def add_draft(kind: Kind, draft: DocumentDraft, mesh: Mesh) -> bool:
    """Keep a draft that nobody typed; False where one is open. Raises Conflict where one is begun at this moment."""
    present, stored = await read_draft(kind, draft.name, mesh)
    if present is None:
        await mesh.state(DRAFTS).put(_key(kind, draft.name), draft, revision=stored)
    return present is None


async def publish_draft(
    kind: Kind,
    name: str,
    author: str,
    mesh: Mesh,
    *,
    version: int | None = None,
    expected: Expected = msgspec.UNSET,
    keep_runs: bool = False,
    needs_review: bool = False,
) -> Document:
    """Publish the draft as the next revision, whole or not at all, and end it; `keep_runs` as in `publish`.

    Raises NotReviewed where it `needs_review` and nobody but the author has seen it, UnknownDocument where there is
    none, DeclarationError where it is wrong, Superseded where it is not at `version` any more or another revision is in
    force than the one that it is based on, or than the `expected` one, Conflict where somebody publishes at the same
    moment. What is saved meanwhile stays.
    """
    draft, stored = await draft_at(kind, name, mesh, version)
    if needs_review:
        await check_reviewed(kind, draft, stored, author, mesh)
    await kind.validate(name, draft.files, mesh)
    current = await mesh.state(kind.bucket).get(name)
    expect(kind, name, current, expected)
    if draft.is_behind(current):
        where = f" in {current.region}" if current and current.revision == draft.based_on else ""
        newer = f"revision {current.revision} by {current.author}{where}" if current else "nothing"
        begun = "nothing" if draft.based_on is None else f"revision {draft.based_on}"
        raise Superseded(
            f"the draft of {kind.name} {name} was begun on {begun}, and {newer} is in force: compare them, and save "
            "the draft again on what is in force"
        )
    document = await store(kind, name, draft.files, author, mesh, current=current, keep_runs=keep_runs)
    with suppress(Conflict):  # saved again meanwhile: that draft stays
        await _close(kind, draft, stored, mesh)
    return document


async def discard_draft(kind: Kind, name: str, mesh: Mesh, *, version: int | None = None) -> None:
    """End the draft without publishing it. UnknownDocument where there is none.

    Superseded where it is saved again meanwhile, or is not at `version` any more.
    """
    draft, stored = await draft_at(kind, name, mesh, version)
    try:
        await _close(kind, draft, stored, mesh)
    except Conflict:
        raise _saved_by((await read_draft(kind, name, mesh))[0], kind, name) from None


async def restore_draft(kind: Kind, name: str, author: str, mesh: Mesh, *, version: int) -> int:
    """Open the draft again that was discarded as `version`, on the revision that it was begun on; its new version.

    UnknownDocument where nothing was discarded, Superseded where a draft was saved since.
    """
    draft, stored = await mesh.state(DRAFTS).entry(_key(kind, name))
    if draft is None:
        raise no_draft(kind, name)
    if draft.open or stored != version:
        raise _saved_by(draft if draft.open else None, kind, name)
    opened = msgspec.structs.replace(draft, author=author, time=datetime.now(UTC), open=True, changed_by=draft.changer)
    try:
        return await mesh.state(DRAFTS).put(_key(kind, name), opened, revision=stored)
    except Conflict:
        raise _saved_by((await read_draft(kind, name, mesh))[0], kind, name) from None


async def draft_at(kind: Kind, name: str, mesh: Mesh, version: int | None) -> tuple[DocumentDraft, int]:
    """The open draft and its version. UnknownDocument where there is none, Superseded where it is not at `version`."""
    draft, stored = await read_draft(kind, name, mesh)
    if draft is None:
        raise no_draft(kind, name)
    if version is not None and version != stored:
        raise _saved_by(draft, kind, name)
    return draft, stored


async def _close(kind: Kind, draft: DocumentDraft, version: int, mesh: Mesh) -> None:
    closed = msgspec.structs.replace(draft, open=False)
    await mesh.state(DRAFTS).put(_key(kind, draft.name), closed, revision=version)


def _key(kind: Kind, name: str) -> str:
    return f"{kind.name}--{name}"


def _saved_by(draft: DocumentDraft | None, kind: Kind, name: str) -> Superseded:
    who = f"saved by {draft.author} at {draft.time:%H:%M:%S} UTC" if draft else "published or discarded"
    return Superseded(f"the draft of {kind.name} {name} was {who} meanwhile: look at it before saving again")


def no_draft(kind: Kind, name: str) -> UnknownDocument:
    """The error for a document that has no draft."""
    return UnknownDocument(f"there is no draft of {kind.name} {name}: save one first")
